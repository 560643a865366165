// The end of the session: warn in time, let its person stay, and leave nothing on the screen afterwards. The server
// ends the session, whatever this clock says.
import { counted } from "./said.js";

const note = document.querySelector("[data-session-left]");
const dialog = note?.querySelector("dialog");
if (note && dialog?.showModal) {
  const warnFor = Number(note.dataset.sessionWarn);
  const count = note.querySelector("[data-session-count]");
  const token = note.querySelector("[name=csrf_token]").value;
  // Counted from the server's word, for the clock of this machine may be wrong.
  let endsAt = Date.now() + 1000 * Number(note.dataset.sessionLeft);
  let timer;

  const words = (seconds) =>
    seconds > 60 ? counted(note.dataset.minutes, Math.ceil(seconds / 60)) : counted(note.dataset.seconds, seconds);

  const ask = async (path, method) => {
    try {
      const answer = await fetch(path, { method, headers: { "X-CSRFToken": token }, cache: "no-store" });
      const told = await answer.json();
      endsAt = Date.now() + 1000 * told.left_s;
    } catch {
      // No network: the count goes on.
    }
  };

  const leave = () => location.replace("/signed-out?why=time");

  const tick = async () => {
    clearTimeout(timer);
    let seconds = Math.round((endsAt - Date.now()) / 1000);
    if (seconds <= warnFor && !dialog.open) {
      // Another window may have been used meanwhile.
      await ask("/session/left", "GET");
      seconds = Math.round((endsAt - Date.now()) / 1000);
    }
    if (seconds <= 0) {
      leave();
      return;
    }
    if (seconds > warnFor) {
      if (dialog.open) {
        dialog.close();
      }
      timer = setTimeout(tick, Math.min(1000 * (seconds - warnFor), 3600000));
      return;
    }
    count.textContent = words(seconds);
    if (!dialog.open) {
      dialog.showModal();
    }
    timer = setTimeout(tick, 1000);
  };

  const stay = async () => {
    await ask("/session/stay", "POST");
    dialog.close();
    note.querySelector("[data-session-line]").hidden = true;
    tick();
  };

  note.querySelector("[data-session-stay]")?.addEventListener("click", stay);
  // Escape closes a dialog: whoever presses it is there.
  dialog.addEventListener("cancel", (event) => {
    if (note.dataset.sessionFinal === "no") {
      event.preventDefault();
      stay();
    }
  });
  // A page kept by the browser, or a machine that slept.
  document.addEventListener("visibilitychange", () => document.hidden || tick());
  addEventListener("pageshow", (event) => event.persisted && ask("/session/left", "GET").then(tick));
  tick();
}
