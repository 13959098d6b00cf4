// ---- The page: statistics, events and the start -------------------------------------------------------------------

const STATISTICS_MS = 10000;
const TYPING_MS = 250;
const DEMO_HIDDEN = "demo-hidden";

let processed = null; // the number of images that were ever processed

async function refreshStatistics() {
  if (document.hidden || reconnecting || isLocked()) return;
  const { data } = await call("stats").catch(() => ({ data: null }));
  if (!data) return;
  if (processed !== null && data.success !== processed) list.refresh();
  processed = data.success;
  const shown = {
    success: numbers.format(data.success),
    failure: numbers.format(data.failure),
    average: `${data.avg_processing_time.toFixed(data.avg_processing_time < 10 ? 2 : 1)} s`,
  };
  for (const [name, value] of Object.entries(shown)) $(`[data-value="${name}"]`).textContent = value;
}

$(".brand").href = new URL("..", API).pathname;
$("#reference").href = new URL("../docs", API).pathname;
$(".skip").onclick = (event) => {
  event.preventDefault(); // the part after # is the address of an image or a search
  $("#images").focus();
};
$("#files").onchange = ({ target }) => {
  addFiles([...target.files]);
  target.value = "";
};
addEventListener("paste", (event) => {
  const files = isLocked() ? [] : pastedFiles(event.clipboardData);
  if (!files.length) return;
  event.preventDefault();
  addFiles(files);
});

let dragDepth = 0; // dragenter and dragleave come for each element on the way
const setDragDepth = (depth) => {
  dragDepth = depth;
  document.body.classList.toggle("dragging", depth > 0);
};
const hasFiles = (event) => !isLocked() && event.dataTransfer?.types.includes("Files");
addEventListener("dragenter", (event) => hasFiles(event) && setDragDepth(dragDepth + 1));
addEventListener("dragleave", (event) => hasFiles(event) && setDragDepth(Math.max(0, dragDepth - 1)));
addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
addEventListener("drop", async (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  setDragDepth(0);
  addFiles(await droppedFiles(event.dataTransfer));
});

$("#retry-all").onclick = () => retry(retryable());
$("#cancel-all").onclick = () => cancel(inState("waiting", "sending"));
$("#clear").onclick = () => forget(inState("failed"));
$("#minimise").onclick = ({ target }) => {
  const isMinimised = $("#uploads").classList.toggle("minimised");
  target.setAttribute("aria-expanded", String(!isMinimised));
};

let typing = 0;
$("#search").oninput = ({ target }) => {
  clearTimeout(typing);
  typing = setTimeout(() => searchFor(target.value.trim()), TYPING_MS);
};
$("#search-form").onsubmit = (event) => event.preventDefault();
$("#hide-demo").onclick = () => {
  localStorage.setItem(DEMO_HIDDEN, "true");
  showEmptiness();
};

$("#load-more").onclick = () => list.loadMore();
const atTheEnd = ([entry]) => entry.isIntersecting && !list.hasFailed && list.loadMore();
new IntersectionObserver(atTheEnd, { rootMargin: "400px" }).observe($("#more"));
let scrolling = 0;
history.scrollRestoration = "manual"; // the images are not there yet when the browser does it
addEventListener("scroll", () => {
  requestAnimationFrame(redraw);
  clearTimeout(scrolling);
  scrolling = setTimeout(keepPlace, KEEP_PLACE_MS);
}, { passive: true });
addEventListener("resize", () => requestAnimationFrame(redraw));

$("#show-new").onclick = () => {
  scrollTo(0, 0);
  list.showUnseen();
  $("#images").focus({ preventScroll: true });
};

$("#copy-captions").onclick = copyCaptions;
$("#download-links").onclick = downloadLinks;
$("#delete-selected").onclick = deleteSelected;
$("#unselect").onclick = () => {
  unselect();
  $("#images").focus({ preventScroll: true });
};
addEventListener("keydown", ({ key }) => key === "Escape" && !detail.open && unselect());

$("#close").onclick = leaveImage;
$("#previous").onclick = () => step(-1);
$("#next").onclick = () => step(1);
$("#delete").onclick = () => deleteImages([viewed]);
$("#copy-caption").onclick = () => copy(images.get(viewed).caption, "Caption");
$("#copy-link").onclick = () => copy(location.href, "Link");
// Browsers give no clipboard to a page that came over plain HTTP from another machine.
$("#copy-caption").hidden = $("#copy-link").hidden = $("#copy-captions").hidden = !navigator.clipboard;
detail.onclose = whenClosed;
$("#undo").onclick = undoDeletion;
$("#toast").onpointerenter = holdDeletion;
$("#toast").onpointerleave = continueDeletion;

addEventListener("popstate", () => isLocked() || followAddress());
addEventListener("online", reloadThumbnails);
addEventListener("beforeunload", (event) => unfinished().length && event.preventDefault());
addEventListener("pagehide", () => {
  keepPlace();
  keepUnfinished();
  settleDeletion({ keepalive: true });
});
document.addEventListener("visibilitychange", refreshStatistics);
$("#access").onsubmit = (event) => {
  event.preventDefault();
  unlock();
};
setInterval(refreshStatistics, STATISTICS_MS);
setInterval(() => document.querySelectorAll("time").forEach(showAgo), AGO_MS);

function start() {
  const { words } = readAddress();
  $("#loading").hidden = !$("#images").hidden;
  $("#search").value = words;
  refreshStatistics();
  openList(words);
  followAddress();
  startUploads();
}

showUnfinished();
if (apiAuth === "AWS_IAM") {
  $("#credential").hidden = $("#access button").hidden = true;
  lock("This API only takes requests with a signature of AWS. A page cannot sign them, so the gallery is empty.");
} else if (credential && !sessionStorage.getItem(STORED)) {
  lock(`This API needs ${credential.article} ${credential.name}. This page forgets it when the tab is closed.`);
} else {
  start();
}
