// ---- One image ---------------------------------------------------------------------------------------------------

const SWIPE_PIXELS = 50;
const MIN_RENEWAL_MS = 10000;
const STAY_MS = 200; // who stays shorter only steps through the images

const detail = $("#detail");
const picture = $("#detail-image");
let viewed = null; // the id of the image in the viewer
let renewal = 0;

function openImage(imageId) {
  setAddress({ words: list.words, imageId }, !detail.open);
  showImage(imageId);
}

/** Close the viewer as Back does. */
function leaveImage() {
  if (history.state?.isStep) return history.back();
  setAddress({ words: list.words });
  followAddress();
}

async function showImage(imageId) {
  viewed = imageId;
  clearTimeout(renewal);
  if (images.has(imageId) && !deleted.has(imageId)) {
    showFacts(images.get(imageId));
    clearTimeout(renewal);
    renewal = setTimeout(renew, STAY_MS);
    return;
  }
  try {
    const image = await fetchImage(imageId);
    if (viewed !== imageId) return;
    showFacts(image);
    showLarge(image);
  } catch (error) {
    if (viewed !== imageId) return;
    showToast(error.status === 404 ? "This image does not exist, or it is deleted." : `The image cannot be shown. ${error.message}`);
    setAddress({ words: list.words });
  }
}

/** Ask for the image again: its URLs expire, only the API knows what can be downloaded, and others may have deleted it. */
async function renew() {
  if (!detail.open) return;
  const imageId = viewed;
  try {
    const image = await fetchImage(imageId);
    if (!detail.open || viewed !== imageId) return;
    showLinks(image);
    showLarge(image);
  } catch (error) {
    if (error.status === 404) markDeleted([imageId]);
    else if (detail.open && viewed === imageId) renewal = setTimeout(renew, MIN_RENEWAL_MS);
  }
}

function showFacts(image) {
  const { metadata, caption_details: details } = image;
  detail.classList.remove("gone");
  zoomTo(1);
  showThumbnail(picture, image);
  showLinks(image);
  $("#detail-caption").textContent = image.caption;
  $("#detail-name").textContent = image.original_name;
  const [taken, changed] = [metadata.created_at, metadata.modified_at].map((date) => dateOfFile(date, image));
  showList($("#detail-facts"), {
    Taken: taken,
    Changed: changed !== taken && changed,
    Uploaded: moments.format(new Date(image.processed_at)),
    Size: `${numbers.format(metadata.width)} × ${numbers.format(metadata.height)} pixels, ${bytes(metadata.size_bytes)}`,
    Format: metadata.format,
    Confidence: details?.confidence != null && `${Math.round(100 * details.confidence)} %`,
  });
  showList($("#detail-more"), {
    "Processed in": `${numbers.format(image.time_taken)} s`,
    "Caption by": details && `${details.model}, revision ${details.revision.slice(0, 12)}, ${details.precision}`,
    Prompt: details?.prompt,
    "Image id": image.image_id,
  });
  if (!detail.open) {
    detail.showModal();
    detail.append($("#floating")); // nothing outside of the dialog can be used
  }
  showNeighbours();
  for (const element of detail.querySelectorAll(".content, .facts")) element.scrollTop = 0;
  $("#detail-caption").focus({ preventScroll: true });
}

function showList(element, facts) {
  const rows = Object.entries(facts).filter(([, value]) => value);
  const cells = rows.flatMap(([name, value]) => [["dt", name], ["dd", value]]);
  element.replaceChildren(...cells.map(([tag, text]) => Object.assign(document.createElement(tag), { textContent: text })));
}

/** Show what has a URL, and renew the URLs before they expire. */
function showLinks(image) {
  const { thumbnails, download } = image;
  $("#open-medium").href = thumbnails.medium;
  const link = $("#download");
  if (!download) link.removeAttribute("href"); // hides it, without moving the other buttons
  else {
    link.href = download.url;
    link.textContent = `Download ${download.kind === "original" ? "original" : "picture"}`;
  }
  clearTimeout(renewal);
  const left = expiryOf(thumbnails.medium) - Date.now();
  if (left) renewal = setTimeout(renew, Math.max(MIN_RENEWAL_MS, 0.9 * left));
}

/** Replace the medium thumbnail with the large one when that is loaded, and load those of the neighbours. */
function showLarge({ image_id: imageId, thumbnails: { large } }) {
  preload("large");
  if (!large || picture.dataset.large === imageId) return;
  picture.dataset.large = imageId;
  const loaded = Object.assign(new Image(), { src: large });
  loaded.decode().then(
    () => viewed === imageId && (picture.src = large),
    () => viewed === imageId && delete picture.dataset.large, // another URL may work
  );
}

/** Take images off the page that others have deleted. The viewer says so, and goes on to their neighbours. */
function markDeleted(ids) {
  for (const id of ids) {
    deleted.add(id);
    selected.delete(id);
  }
  draw();
  showSelection();
  if (!detail.open || !ids.includes(viewed)) return;
  zoomTo(1);
  detail.classList.add("gone");
  $("#detail-caption").textContent = "This image is deleted.";
  $("#detail-caption").focus();
  announce("This image is deleted.");
}

/** Return the time in ms at which a presigned URL expires, or NaN. */
function expiryOf(url) {
  const query = new URL(url).searchParams;
  const [, ...parts] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(query.get("X-Amz-Date")) ?? [];
  const [year, month, ...others] = parts.map(Number);
  return Date.UTC(year, month - 1, ...others) + 1000 * query.get("X-Amz-Expires");
}

/** Return the id of the image that is this many places after the shown one, or undefined. */
function neighbour(places) {
  const ids = list.ids.filter((id) => id === viewed || !deleted.has(id));
  const place = ids.indexOf(viewed);
  return place < 0 ? undefined : ids[place + places];
}

function showNeighbours() {
  if (!detail.open) return;
  const isLast = !neighbour(1) && (list.isComplete || !list.ids.includes(viewed));
  $("#previous").disabled = !neighbour(-1);
  $("#next").disabled = isLast;
  preload("medium");
}

function preload(size) {
  for (const id of [neighbour(-1), neighbour(1)]) {
    const url = images.get(id)?.thumbnails[size];
    if (url) new Image().src = url;
  }
}

async function step(places) {
  // A page of a search may be empty and still have a next page.
  while (places > 0 && !neighbour(places) && !list.isComplete && list.ids.includes(viewed)) {
    await list.loadMore();
    if (list.hasFailed) return;
  }
  const imageId = neighbour(places);
  if (detail.open && imageId) openImage(imageId);
}

function closeViewer() {
  $("main").append($("#floating")); // an element in a closed dialog cannot have the focus
  detail.close();
}

function whenClosed() {
  if (detail.open) return; // Forward opened it again, before this event came
  clearTimeout(renewal);
  if (detail.contains($("#floating"))) closeViewer();
  if (isLocked()) return;
  if (readAddress().imageId) leaveImage();
  const card = reveal(viewed);
  if (card) $(".open", card).focus({ preventScroll: true });
}

async function copy(text, what) {
  await navigator.clipboard.writeText(text);
  showToast(`${what} copied`);
}
