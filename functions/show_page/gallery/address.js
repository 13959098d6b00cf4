// ---- The address: #/search/<words>, #/image/<id>, or one after the other ------------------------------------------

const MAX_PAGES_BACK = 20;
const KEEP_PLACE_MS = 300;
let isRestoring = false;

function readAddress() {
  const [, words = "", imageId = null] = /^#(?:\/search\/([^/]*))?(?:\/image\/([\da-f-]+))?$/i.exec(location.hash) ?? [];
  try {
    return { words: decodeURIComponent(words), imageId };
  } catch {
    return { words: "", imageId };
  }
}

function addressOf({ words, imageId }) {
  const search = words ? `/search/${encodeURIComponent(words)}` : "";
  const image = imageId ? `/image/${imageId}` : "";
  return location.pathname + location.search + (search || image ? `#${search}${image}` : "");
}

/** Change the address. `isStep` makes Back return to the address of before. */
function setAddress(address, isStep) {
  // The page of an image keeps the place in the list below it.
  if (isStep) {
    keepPlace();
    history.pushState({ isStep: true, place: address.imageId && currentPlace() }, "", addressOf(address));
  } else history.replaceState({ ...history.state, place: address.imageId && history.state?.place }, "", addressOf(address));
}

/** Show what the address says. */
function followAddress() {
  const { words, imageId } = readAddress();
  if (words !== list.words) {
    $("#search").value = words;
    openList(words);
  }
  if (imageId) showImage(imageId);
  else if (detail.open) closeViewer();
}

function searchFor(words) {
  if (words === list.words) return;
  setAddress({ words }, words && !list.words);
  openList(words);
}

function currentPlace() {
  return { y: scrollY, count: list.ids.length };
}

/** Keep the place in the list for a reload, and for Back. */
function keepPlace() {
  if (list.isNew || detail.open || isRestoring) return;
  history.replaceState({ ...history.state, place: currentPlace() }, "");
}

/** Show the list of a search, or of all images, at the place that the history has for it. */
async function openList(words) {
  const { y, count } = history.state?.place || { y: 0, count: 0 };
  isRestoring = true;
  await list.search(words);
  for (let pages = 1; pages < MAX_PAGES_BACK && list.words === words && list.ids.length < count && !list.hasFailed; pages += 1) await list.loadMore();
  if (list.words !== words) return;
  if (isRestoring) scrollTo(0, y);
  isRestoring = false;
}

// Who scrolls meanwhile goes on from there. Keys in the search box do not scroll.
for (const type of ["wheel", "touchmove", "keydown"]) {
  addEventListener(type, ({ target }) => (isRestoring &&= target === $("#search")), { passive: true });
}
