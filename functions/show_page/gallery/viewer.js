// ---- One image ---------------------------------------------------------------------------------------------------

const SWIPE_PIXELS = 50;
const MIN_RENEWAL_MS = 2000;

const detail = find("#detail");
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
  let image = deleted.has(imageId) ? null : images.get(imageId);
  try {
    image ??= await fetchImage(imageId);
  } catch (error) {
    if (viewed !== imageId) return;
    showToast(error.status === 404 ? "This image does not exist, or it is deleted." : `The image cannot be shown. ${error.message}`);
    setAddress({ words: list.words });
    return;
  }
  if (viewed === imageId) showFacts(image);
}

function showFacts(image) {
  const { metadata, caption_details: details } = image;
  showThumbnail(find("#detail-image"), image);
  showLink(image);
  find("#detail-caption").textContent = image.caption;
  find("#detail-name").textContent = image.original_name;
  const [taken, changed] = [metadata.created_at, metadata.modified_at].map((date) => dateOfFile(date, image));
  showList(find("#detail-facts"), {
    Taken: taken,
    Changed: changed !== taken && changed,
    Uploaded: moments.format(new Date(image.processed_at)),
    Size: `${numbers.format(metadata.width)} × ${numbers.format(metadata.height)} pixels, ${bytes(metadata.size_bytes)}`,
    Format: metadata.format,
    Confidence: details?.confidence != null && `${Math.round(100 * details.confidence)} %`,
  });
  showList(find("#detail-more"), {
    "Processed in": `${numbers.format(image.time_taken)} s`,
    "Caption by": details && `${details.model}, revision ${details.revision.slice(0, 12)}, ${details.precision}`,
    Prompt: details?.prompt,
    "Image id": image.image_id,
  });
  if (!detail.open) {
    detail.showModal();
    detail.append(find("#floating")); // nothing outside of the dialog can be used
  }
  showNeighbours();
  for (const element of detail.querySelectorAll(".content, .facts")) element.scrollTop = 0;
  find("#detail-caption").focus({ preventScroll: true });
}

function showList(element, facts) {
  const rows = Object.entries(facts).filter(([, value]) => value);
  const cells = rows.flatMap(([name, value]) => [["dt", name], ["dd", value]]);
  element.replaceChildren(...cells.map(([tag, text]) => Object.assign(document.createElement(tag), { textContent: text })));
}

/** Show the link to the thumbnail, and renew its URL before it expires. */
function showLink(image, minimum = 0) {
  find("#open-medium").href = image.thumbnails.medium;
  clearTimeout(renewal);
  const left = expiryOf(image.thumbnails.medium) - Date.now();
  const renew = async () => {
    const renewed = await fetchImage(image.image_id).catch(() => image);
    if (detail.open && viewed === image.image_id) showLink(renewed, MIN_RENEWAL_MS);
  };
  if (left) renewal = setTimeout(renew, Math.max(minimum, 0.9 * left));
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
  const ids = list.shown;
  const place = ids.indexOf(viewed);
  return place < 0 ? undefined : ids[place + places];
}

function showNeighbours() {
  if (!detail.open) return;
  const isLast = !neighbour(1) && (list.isComplete || !list.shown.includes(viewed));
  find("#previous").disabled = !neighbour(-1);
  find("#next").disabled = isLast;
  for (const id of [neighbour(-1), neighbour(1)]) if (id) new Image().src = images.get(id).thumbnails.medium;
}

async function step(places) {
  // A page of a search may be empty and still have a next page.
  while (places > 0 && !neighbour(places) && !list.isComplete && list.shown.includes(viewed)) {
    await list.loadMore();
    if (list.hasFailed) return;
  }
  const imageId = neighbour(places);
  if (detail.open && imageId) openImage(imageId);
}

function closeViewer() {
  find("main").append(find("#floating")); // an element in a closed dialog cannot have the focus
  detail.close();
}

function whenClosed() {
  if (detail.open) return; // Forward opened it again, before this event came
  clearTimeout(renewal);
  if (detail.contains(find("#floating"))) closeViewer();
  if (isLocked()) return;
  if (readAddress().imageId) leaveImage();
  const card = cardOf(viewed);
  card?.scrollIntoView({ block: "nearest" });
  if (card) find(".open", card).focus();
}

async function copy(text, what) {
  await navigator.clipboard.writeText(text);
  showToast(`${what} copied`);
}
