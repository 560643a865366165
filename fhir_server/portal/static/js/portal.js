// Progressive enhancement: every page works without this file.
import { initAll } from "../vendor/nhsuk/nhsuk-frontend.min.js";
import { counted, filled } from "./said.js";

initAll();

// An emergency access: say how long is left, aloud at some moments only. The server ends it, whatever this clock says.
const TELL_AT = [10, 5, 2, 1];
for (const time of document.querySelectorAll("[data-countdown]")) {
  // Counted from the server's word, for the clock of this machine may be wrong.
  const endsAt = Date.now() + 1000 * Number(time.dataset.countdown);
  const status = document.querySelector("[data-countdown-status]");
  const left = document.createElement("span");
  left.setAttribute("aria-hidden", "true");
  time.after(left);
  let told = Math.ceil((endsAt - Date.now()) / 60000) + 1;
  const tell = (minutes) => {
    const due = TELL_AT.find((each) => minutes <= each && each < told);
    if (due === undefined) {
      return;
    }
    told = minutes;
    status.textContent = counted(status.dataset.ends, minutes);
  };
  const tick = () => {
    const seconds = Math.max(0, Math.round((endsAt - Date.now()) / 1000));
    if (seconds === 0) {
      location.reload();
      return;
    }
    const minutes = Math.floor(seconds / 60);
    left.textContent = ` ${filled(time.dataset.left, { time: `${minutes}:${String(seconds % 60).padStart(2, "0")}` })}`;
    tell(Math.ceil(seconds / 60));
    setTimeout(tick, 1000);
  };
  tick();
}

// Charts: the server's drawing stays unless the script for a finer one loads, and in forced colours, which a canvas does not follow.
if (document.querySelector("[data-chart]") && !matchMedia("(forced-colors: active)").matches) {
  import("./chart.js").then(({ enhance }) => document.querySelectorAll("[data-chart]").forEach(enhance));
}
