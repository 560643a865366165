// Shows the PDF of a letter on the page, one canvas per page, when asked to: the viewer is larger than the rest of the page.
// Without this script the letter is a download and its words are text. What it says is in data attributes, in the page's language.
import { filled } from "./said.js";

const PAGE_LIMIT = 50;

async function draw(pdf, pages, said) {
  const count = Math.min(pdf.numPages, PAGE_LIMIT);
  for (let number = 1; number <= count; number += 1) {
    const page = await pdf.getPage(number);
    const width = Math.min(pages.clientWidth - 16, 900);
    const scale = (width / page.getViewport({ scale: 1 }).width) * (window.devicePixelRatio || 1);
    const viewport = page.getViewport({ scale });
    const canvas = document.createElement("canvas");
    canvas.width = Math.floor(viewport.width);
    canvas.height = Math.floor(viewport.height);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", filled(said.page, { number, count: pdf.numPages, title: said.title }));
    pages.append(canvas);
    await page.render({ canvasContext: canvas.getContext("2d"), canvas, viewport }).promise;
  }
}

async function show(viewer, pages, status) {
  status.textContent = viewer.dataset.loading;
  try {
    const [pdfjs, answer] = await Promise.all([
      import("../vendor/pdfjs/pdf.min.mjs"),
      fetch(viewer.dataset.pdf, { credentials: "same-origin" }),
    ]);
    if (!answer.ok) throw new Error(String(answer.status));
    pdfjs.GlobalWorkerOptions.workerSrc = new URL("../vendor/pdfjs/pdf.worker.min.mjs", import.meta.url).href;
    const options = { data: await answer.arrayBuffer(), isEvalSupported: false, enableXfa: false };
    const pdf = await pdfjs.getDocument(options).promise;
    await draw(pdf, pages, viewer.dataset);
    status.textContent = pdf.numPages > PAGE_LIMIT ? filled(viewer.dataset.first, { limit: PAGE_LIMIT, count: pdf.numPages }) : "";
  } catch {
    pages.hidden = true;
    status.textContent = viewer.dataset.failed;
  }
}

for (const viewer of document.querySelectorAll("[data-pdf]")) {
  const button = viewer.querySelector("button");
  const pages = viewer.querySelector(".app-viewer__pages");
  const status = viewer.querySelector(".app-viewer__status");
  viewer.hidden = false;
  button.addEventListener("click", () => {
    pages.hidden = !pages.hidden;
    button.textContent = pages.hidden ? viewer.dataset.show : viewer.dataset.hide;
    button.setAttribute("aria-expanded", String(!pages.hidden));
    if (!pages.hidden && !pages.childElementCount) show(viewer, pages, status);
  });
}
