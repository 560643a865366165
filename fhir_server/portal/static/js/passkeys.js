// Passkeys: forms that stay hidden where the browser has none. The server checks everything that comes back.
const known = window.PublicKeyCredential;
const isUsable = known?.parseCreationOptionsFromJSON && known?.parseRequestOptionsFromJSON && !/^[\d.[\]:]+$/.test(location.hostname);

const asked = async (form) => {
  const token = form.querySelector("[name=csrf_token]").value;
  const answer = await fetch(form.dataset.options, { method: "POST", headers: { "X-CSRFToken": token } });
  const told = await answer.json();
  if (!answer.ok) {
    throw new Error(told.message);
  }
  return told;
};

const made = async (form, options) => {
  const publicKey = JSON.parse(options);
  return form.dataset.passkey === "create"
    ? navigator.credentials.create({ publicKey: known.parseCreationOptionsFromJSON(publicKey) })
    : navigator.credentials.get({ publicKey: known.parseRequestOptionsFromJSON(publicKey) });
};

const use = async (event) => {
  event.preventDefault();
  const form = event.target;
  const status = form.querySelector("[data-passkey-status]");
  status.textContent = "";
  try {
    const { token, options } = await asked(form);
    const credential = await made(form, options);
    form.querySelector("[name=token]").value = token;
    form.querySelector("[name=credential]").value = JSON.stringify(credential.toJSON());
    form.submit();
  } catch (error) {
    const { known: isKnown, unused, failed } = status.dataset;
    status.textContent = { InvalidStateError: isKnown, NotAllowedError: unused }[error.name] ?? failed;
  }
};

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (isUsable) {
    form.hidden = false;
    form.addEventListener("submit", use);
    document.querySelector("[data-passkey-none]")?.setAttribute("hidden", "");
  }
}
