// Shows the PDF of a letter on the page, one canvas per page, when asked to: the viewer is larger than the rest of the page.
// Without this script the letter is a download and its words are text.
const PAGE_LIMIT = 50;

async function draw(pdf, pages, title) {
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
    canvas.setAttribute("aria-label", `Page ${number} of ${pdf.numPages} of ${title}`);
    pages.append(canvas);
    await page.render({ canvasContext: canvas.getContext("2d"), canvas, viewport }).promise;
  }
}

async function show(viewer, pages, status) {
  status.textContent = "Loading the letter";
  try {
    const [pdfjs, answer] = await Promise.all([
      import("../vendor/pdfjs/pdf.min.mjs"),
      fetch(viewer.dataset.pdf, { credentials: "same-origin" }),
    ]);
    if (!answer.ok) throw new Error(String(answer.status));
    pdfjs.GlobalWorkerOptions.workerSrc = new URL("../vendor/pdfjs/pdf.worker.min.mjs", import.meta.url).href;
    const options = { data: await answer.arrayBuffer(), isEvalSupported: false, enableXfa: false };
    const pdf = await pdfjs.getDocument(options).promise;
    await draw(pdf, pages, viewer.dataset.title);
    status.textContent = pdf.numPages > PAGE_LIMIT ? `The first ${PAGE_LIMIT} of ${pdf.numPages} pages. Download the letter to see all.` : "";
  } catch {
    pages.hidden = true;
    status.textContent = "The letter cannot be shown here. Download it instead.";
  }
}

for (const viewer of document.querySelectorAll("[data-pdf]")) {
  const button = viewer.querySelector("button");
  const pages = viewer.querySelector(".app-viewer__pages");
  const status = viewer.querySelector(".app-viewer__status");
  viewer.hidden = false;
  button.addEventListener("click", () => {
    pages.hidden = !pages.hidden;
    button.textContent = pages.hidden ? "Show the letter as it was sent" : "Hide the letter as it was sent";
    button.setAttribute("aria-expanded", String(!pages.hidden));
    if (!pages.hidden && !pages.childElementCount) show(viewer, pages, status);
  });
}
