// Replaces the server's drawing by an interactive one, made from the numbers of the table below it.
const COLOURS = ["#005eb8", "#8a1538"];

// uPlot has no module without a build step: its classic script leaves one global.
function library() {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("../vendor/uplot/uPlot.iife.min.js", import.meta.url).href;
    script.onload = () => resolve(window.uPlot);
    script.onerror = reject;
    document.head.append(script);
  });
}

export async function enhance(figure) {
  const uPlot = await library();
  const rows = [...document.querySelectorAll(`${figure.dataset.chart} tr[data-at]`)]
    .map((row) => ({ at: Date.parse(row.dataset.at) / 1000, values: row.dataset.values.split(" ").map(Number) }))
    .filter((row) => Number.isFinite(row.at) && row.values.every(Number.isFinite))
    .sort((left, right) => left.at - right.at);
  const drawing = figure.querySelector("svg");
  if (!uPlot || rows.length < 2 || !drawing) return;
  const names = figure.dataset.names.split("|");
  const [low, high] = ["low", "high"].map((end) => (figure.dataset[end] ? Number(figure.dataset[end]) : null));
  const band = {
    hooks: {
      drawClear: (plot) => {
        if (low === null && high === null) return;
        const { ctx, bbox } = plot;
        const top = high === null ? bbox.top : Math.max(bbox.top, plot.valToPos(high, "y", true));
        const bottom = low === null ? bbox.top + bbox.height : Math.min(bbox.top + bbox.height, plot.valToPos(low, "y", true));
        ctx.save();
        ctx.fillStyle = "#cfe6d6";
        ctx.fillRect(bbox.left, top, bbox.width, bottom - top);
        ctx.restore();
      },
    },
  };
  const values = rows.flatMap((row) => row.values).concat([low, high].filter((end) => end !== null));
  const margin = (Math.max(...values) - Math.min(...values)) * 0.12 || 1;
  const holder = document.createElement("div");
  holder.setAttribute("aria-hidden", "true");
  drawing.before(holder);
  const options = {
    width: holder.clientWidth,
    height: 280,
    plugins: [band],
    legend: { show: true },
    scales: { y: { range: [Math.min(...values) - margin, Math.max(...values) + margin] } },
    series: [
      { label: figure.dataset.date, value: (_plot, at) => (at ? new Date(at * 1000).toLocaleDateString(document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang, { day: "numeric", month: "long", year: "numeric" }) : "–") },
      ...names.map((label, index) => ({ label, stroke: COLOURS[index % 2], width: 2, dash: index ? [8, 4] : [], points: { show: true, size: 7 } })),
    ],
  };
  const plot = new uPlot(options, [rows.map((row) => row.at), ...names.map((_name, index) => rows.map((row) => row.values[index]))], holder);
  drawing.remove();
  figure.classList.add("app-chart--live");
  new ResizeObserver(() => plot.setSize({ width: holder.clientWidth, height: 280 })).observe(figure);
}
