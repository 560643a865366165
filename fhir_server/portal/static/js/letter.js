// Shows the PDF of a letter on the page, one canvas per page. Without this script the letter is a download and its words are text.
import * as pdfjs from "../vendor/pdfjs/pdf.min.mjs";

pdfjs.GlobalWorkerOptions.workerSrc = new URL("../vendor/pdfjs/pdf.worker.min.mjs", import.meta.url).href;

const PAGE_LIMIT = 50;

async function show(viewer) {
  const pages = viewer.querySelector(".app-viewer__pages");
  const status = viewer.querySelector(".app-viewer__status");
  viewer.hidden = false;
  status.textContent = "Loading the letter";
  try {
    const answer = await fetch(viewer.dataset.pdf, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(String(answer.status));
    const pdf = await pdfjs.getDocument({ data: await answer.arrayBuffer(), isEvalSupported: false, enableXfa: false }).promise;
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
      canvas.setAttribute("aria-label", `Page ${number} of ${pdf.numPages} of ${viewer.dataset.title}`);
      pages.append(canvas);
      await page.render({ canvasContext: canvas.getContext("2d"), canvas, viewport }).promise;
    }
    status.textContent = pdf.numPages > PAGE_LIMIT ? `The first ${PAGE_LIMIT} of ${pdf.numPages} pages. Download the letter to see all.` : "";
  } catch {
    pages.remove();
    status.textContent = "The letter cannot be shown here. Download it instead.";
  }
}

document.querySelectorAll("[data-pdf]").forEach(show);
