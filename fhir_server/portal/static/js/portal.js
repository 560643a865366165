// Progressive enhancement: every page works without this file.
import { initAll } from "../vendor/nhsuk/nhsuk-frontend.min.js";

initAll();

// An emergency access: say how long is left. The server ends it, whatever this clock says.
for (const time of document.querySelectorAll("[data-countdown]")) {
  const endsAt = Date.parse(time.dateTime);
  const clock = time.textContent.trim();
  const left = document.createElement("span");
  left.setAttribute("aria-live", "off");
  time.after(left);
  const tick = () => {
    const seconds = Math.max(0, Math.round((endsAt - Date.now()) / 1000));
    if (seconds === 0) {
      location.reload();
      return;
    }
    const minutes = Math.floor(seconds / 60);
    left.textContent = ` (${minutes}:${String(seconds % 60).padStart(2, "0")} left)`;
    setTimeout(tick, 1000);
  };
  if (endsAt > Date.now()) {
    time.textContent = clock;
    tick();
  }
}

// Charts: the server's drawing stays unless the script for a finer one loads.
if (document.querySelector("[data-chart]")) {
  import("./chart.js").then(({ enhance }) => document.querySelectorAll("[data-chart]").forEach(enhance));
}
