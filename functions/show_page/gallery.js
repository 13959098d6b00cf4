// The gallery: uploads files, lists images and shows one. Text from the API is only ever set as text, never as HTML.

const API = new URL("api/", location.origin + location.pathname.replace(/\/?$/, "/"));
const { apiAuth, maxUploadBytes, maxDirectUploadBytes } = document.body.dataset;
const UPLOADS_AT_ONCE = 2;
const TRIES = 4;
const UNDO_MS = 6000;
const STATISTICS_MS = 10000;
const RECONNECT_MS = 2000;
// As long as the Retry-After of an image that is still processed.
const STILL_PROCESSING_MS = 2000;
const DONE_MS = 2500;
const TYPING_MS = 250;
const MEDIUM = 512;
const DETAILS = "caption,placeholder";

const find = (selector, parent = document) => parent.querySelector(selector);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const grid = find("#grid");
const detail = find("#detail");
const images = new Map(); // the data of each image on the page, by image id

class Unreachable extends Error {}

// ---- Words and numbers -------------------------------------------------------------------------------------------

const numbers = new Intl.NumberFormat("en");
const moments = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const agos = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

function bytes(count) {
  const units = ["bytes", "kB", "MB"];
  const power = Math.min(2, Math.floor(Math.log10(Math.max(1, count)) / 3));
  const value = count / 1000 ** power;
  return `${power && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}

function ago(moment) {
  const seconds = (new Date(moment) - Date.now()) / 1000;
  for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (-seconds >= length) return agos.format(Math.ceil(seconds / length), unit);
  }
  return "just now";
}

function announce(text) {
  find("#announcer").textContent = text;
}

// ---- Access: what the API wants to see of each request, if the stack says so --------------------------------------

const CREDENTIALS = {
  API_KEY: { name: "API key", article: "an", scheme: "ApiKey", header: (key) => ({ "x-api-key": key }) },
  JWT: { name: "token", article: "a", scheme: "Bearer", header: (token) => ({ Authorization: `Bearer ${token}` }) },
};
const credential = CREDENTIALS[apiAuth];
const STORED = "credential"; // until the tab is closed

function credentialHeaders() {
  const stored = sessionStorage.getItem(STORED);
  return credential && stored ? credential.header(stored) : {};
}

/** Tell whether the gateway of this API refuses the credential. A firewall or a proxy may return 403 for other reasons. */
function isRefused(status, challenge) {
  return Boolean(credential) && (status === 401 || status === 403) && challenge === credential.scheme;
}

/** Return a pasted key without the quotes, spaces and invisible characters that copying may add. */
function cleaned(pasted) {
  return pasted.replace(/[\s\u00ad\u200b-\u200f\u2060\ufeff]/g, "").replace(/^["'“”„‘’«»`]+|["'“”„‘’«»`]+$/g, "");
}

function lock(text) {
  sessionStorage.removeItem(STORED);
  document.body.classList.add("locked");
  find("#access-text").textContent = text;
  find("#access").hidden = false;
  find("#credential").focus();
}

function unlock() {
  const key = cleaned(find("#credential").value);
  // A browser cannot send other characters in a header.
  if (!/^[!-~]+$/.test(key)) {
    lock(`This is not ${credential.article} ${credential.name}: it has characters that none can have. Please copy it again.`);
    return;
  }
  sessionStorage.setItem(STORED, key);
  find("#credential").value = "";
  find("#access").hidden = true;
  document.body.classList.remove("locked");
  start();
}

// ---- Requests ----------------------------------------------------------------------------------------------------

let reconnecting = false;

function setReachable(reachable) {
  find("#unreachable").hidden = reachable;
  if (reachable || reconnecting) return;
  find("#unreachable").textContent = navigator.onLine
    ? "The API cannot be reached. This page tries again every 2 seconds."
    : "You are offline. This page goes on as soon as you are online again.";
  reconnecting = true;
  reconnect();
}

async function reconnect() {
  while (reconnecting) {
    await pause(RECONNECT_MS);
    try {
      await fetch(new URL("stats", API), { cache: "no-store" });
      reconnecting = false;
    } catch {
      // still unreachable
    }
  }
  setReachable(true);
  refreshStatistics();
  if (!list.isComplete) list.loadMore();
}

/** Send a request until its response asks for no other try. `request` returns {status, retryAfter, challenge, body}. */
async function repeated(request) {
  for (let tries = 1; ; tries += 1) {
    const { status, retryAfter, challenge, body } = await request();
    if (status >= 200 && status < 300) return body;
    if (isRefused(status, challenge)) lock(`This ${credential.name} is not accepted. Please enter another one.`);
    if (tries === TRIES || (status < 500 && status !== 409 && status !== 429)) {
      const error = new Error(body?.error ?? body?.data ?? body?.message ?? `The API returned status ${status}.`);
      error.status = status;
      throw error;
    }
    await pause(1000 * (Number(retryAfter) || 2));
  }
}

function call(path, options) {
  return repeated(async () => {
    let response;
    try {
      response = await fetch(new URL(path, API), {
        ...options,
        headers: { ...credentialHeaders(), ...options?.headers },
      });
    } catch {
      setReachable(false);
      throw new Unreachable("The API cannot be reached.");
    }
    const body = await response.json().catch(() => null);
    const [retryAfter, challenge] = ["Retry-After", "WWW-Authenticate"].map((name) => response.headers.get(name));
    return { status: response.status, retryAfter, challenge, body };
  });
}

/** Post a form with a file to a URL object. fetch() cannot report the progress of an upload, so this uses XMLHttpRequest. */
function post(url, form, headers, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onerror = () => reject(new Unreachable("The connection was lost before the file had arrived."));
    request.onload = () => {
      let body = null;
      try {
        body = JSON.parse(request.responseText);
      } catch {
        // a response of S3 is XML or empty
      }
      const header = (name) => (url.origin === location.origin ? request.getResponseHeader(name) : null);
      const [retryAfter, challenge] = ["Retry-After", "WWW-Authenticate"].map(header);
      resolve({ status: request.status, retryAfter, challenge, body });
    };
    request.send(form);
  });
}

// ---- Uploads -----------------------------------------------------------------------------------------------------

const waiting = [];
let running = 0;

function addFiles(files) {
  if (!files.length) return;
  for (const file of files) {
    const row = find("#upload").content.cloneNode(true).firstElementChild;
    find(".name", row).textContent = file.name;
    find("progress", row).setAttribute("aria-label", `Progress of ${file.name}`);
    const job = { file, row, key: newKey(), isDirect: file.size > maxUploadBytes };
    find("button", row).onclick = () => queue(job);
    find("#upload-list").append(row);
    queue(job);
  }
  showUploads();
}

function showUploads() {
  const failed = document.querySelectorAll('.upload[data-state="failed"]').length;
  find("#uploads").hidden = !find("#upload-list").children.length;
  find("#uploads-title").textContent = failed ? `Uploads, ${numbers.format(failed)} failed` : "Uploads";
  find("#clear").hidden = !failed;
}

function queue(job) {
  show(job, "waiting", "Waiting");
  waiting.push(job);
  startUploads();
}

function startUploads() {
  while (running < UPLOADS_AT_ONCE && waiting.length) {
    running += 1;
    upload(waiting.shift()).finally(() => {
      running -= 1;
      startUploads();
      if (!running) refreshStatistics();
    });
  }
}

function show(job, state, text, progress = 0) {
  job.row.dataset.state = state;
  find(".state", job.row).textContent = text;
  const bar = find("progress", job.row);
  if (state === "processing") bar.removeAttribute("value");
  else bar.value = progress;
  find("button", job.row).hidden = state !== "failed" || job.refused;
}

async function upload(job) {
  const { file } = job;
  try {
    if (file.size > maxDirectUploadBytes) {
      job.refused = true;
      const [size, limit] = [file.size, maxDirectUploadBytes].map((count) => numbers.format(count));
      throw new Error(`The file has ${size} bytes. Please choose one of at most ${limit} bytes.`);
    }
    const onProgress = (share) => {
      if (share < 1) show(job, "sending", `Sending ${Math.round(100 * share)} %`, share);
      else show(job, "processing", "Processing");
    };
    onProgress(0);
    const image = await send(job, onProgress);
    show(job, "done", "Done");
    setTimeout(removeUploads, DONE_MS, [job.row]); // its card stays
    // During a search, the grid shows what matches it.
    images.has(image.image_id) || list.words || insertCard(image);
    showEmptiness();
    announce(`${file.name} is processed: ${image.caption}`);
  } catch (error) {
    // 401 and 403 say nothing about the file.
    job.refused ||= error.status >= 400 && error.status < 500 && error.status !== 401 && error.status !== 403;
    show(job, "failed", error.message);
    find("#upload-list").prepend(job.row);
    announce(`${file.name} failed: ${error.message}`);
  }
  showUploads();
}

function removeUploads(rows) {
  for (const row of rows) row.remove();
  showUploads();
}

/** Send a file as a form or, if it is too large for that, straight to the bucket. */
async function send(job, onProgress) {
  if (!job.isDirect) {
    try {
      return await uploadForm(job, onProgress);
    } catch (error) {
      if (error.status !== 413) throw error;
      job.isDirect = true; // the limits of the function and of API Gateway are lower than those of a direct upload
    }
  }
  return uploadDirectly(job, onProgress);
}

async function uploadForm(job, onProgress) {
  const form = new FormData();
  form.append("file", job.file);
  const url = new URL(`images?details=${DETAILS}`, API);
  // With the same key, a repeated upload does not make a second image.
  const body = await repeated(() => post(url, form, { ...credentialHeaders(), "Idempotency-Key": job.key }, onProgress));
  return body.data;
}

async function uploadDirectly(job, onProgress) {
  // If the connection was lost after the file had arrived, a new try only waits for the result.
  job.statusUrl ??= await sendDirectly(job.file, onProgress);
  onProgress(1);
  for (;;) {
    const { data: image } = await call(`${job.statusUrl}?wait=20&details=${DETAILS}`);
    if (image.image_status === "success") return image.data;
    if (image.image_status === "failure") throw Object.assign(new Error(image.error), { status: 400 });
    await pause(STILL_PROCESSING_MS);
  }
}

/** Send a file to the bucket. Return the URL that tells the state of its image. */
async function sendDirectly(file, onProgress) {
  const requested = await call("uploads", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ filename: file.name, content_type: file.type }),
  });
  const { upload: target, status_url: statusUrl } = requested.data;
  const form = new FormData();
  for (const [name, value] of Object.entries(target.fields)) form.append(name, value);
  form.append("file", file);
  const sent = await post(new URL(target.url), form, {}, onProgress);
  if (sent.status >= 300) throw new Error(`The storage refused the file with status ${sent.status}. Please reload the page and add the file again.`);
  return statusUrl;
}

function newKey() {
  // crypto.randomUUID() does not exist on a page that came over plain HTTP from another machine.
  return [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(16)).join("-");
}

// ---- The list ----------------------------------------------------------------------------------------------------

const list = {
  words: "", // of the search
  next: `?details=${DETAILS}`,
  loading: null, // the request that fills the grid; an older one is out of date

  get isComplete() {
    return this.next === null;
  },

  search(words) {
    this.words = words;
    this.next = `?${new URLSearchParams(words ? { q: words, details: DETAILS } : { details: DETAILS })}`;
    this.loading = null;
    this.isNew = true;
    this.loadMore();
  },

  async loadMore() {
    if (this.loading || this.isComplete) return;
    const request = call(`images${this.next}`);
    this.loading = request;
    find("#images").setAttribute("aria-busy", "true");
    find("#load-more").hidden = find("#list-error").hidden = true;
    let failure = null;
    const page = await request.catch((error) => (failure = error));
    if (this.loading !== request) return;
    this.loading = null;
    if (this.isNew) {
      detail.close();
      images.clear();
      grid.replaceChildren();
      this.isNew = false;
    }
    if (failure) {
      find("#list-error").textContent = `The images cannot be loaded. ${failure.message}`;
    } else {
      for (const { data } of Object.values(page.content ?? {})) {
        images.has(data.image_id) || grid.append(newCard(data));
      }
      this.next = page.next ?? null;
      if (this.words) announce(`${images.size} ${images.size === 1 ? "image" : "images"}${this.isComplete ? "" : " so far"}`);
    }
    find("#loading").hidden = true;
    find("#images").hidden = false;
    find("#images").setAttribute("aria-busy", "false");
    find("#list-error").hidden = !failure;
    find("#load-more").hidden = this.isComplete;
    showEmptiness();
    // If the end of the grid is still on the screen, the observer does not report it again.
    if (!failure && isNearScreen(find("#more"))) this.loadMore();
  },
};

function isNearScreen(element) {
  return element.getBoundingClientRect().top < innerHeight + 400;
}

function showEmptiness() {
  find("#empty").hidden = images.size > 0 || !list.isComplete;
  find("#empty-title").textContent = list.words ? "No image matches" : "No images yet";
  find("#empty-text").textContent = list.words
    ? "All words must be in the caption or the file name."
    : "Add the first one. It gets thumbnails, its metadata and a caption.";
  const isDemo = [...images.values()].some((image) => image.caption_details?.model === "demo");
  find("#demo").hidden = !isDemo;
}

function newCard(image) {
  images.set(image.image_id, image);
  const card = find("#card").content.cloneNode(true).firstElementChild;
  card.dataset.id = image.image_id;
  find(".caption", card).textContent = image.caption;
  find(".name", card).textContent = find(".name", card).title = image.original_name;
  find(".size", card).textContent = bytes(image.metadata.size_bytes);
  const time = find("time", card);
  time.dateTime = image.processed_at;
  time.title = moments.format(new Date(image.processed_at));
  time.textContent = ago(image.processed_at);
  showThumbnail(find("img", card), image);
  find(".open", card).onclick = () => openDetail(card);
  return card;
}

/** Add a card at its place, newest first: the responses to uploads at the same time may come in another order. */
function insertCard(image) {
  const position = ({ processed_at: time, image_id: id }) => time + id; // as in the list
  const older = [...grid.children].find((card) => position(images.get(card.dataset.id)) < position(image));
  grid.insertBefore(newCard(image), older ?? null);
}

/** Show the medium thumbnail, and its dominant colour until it is there. Its URL expires; then the API is asked once for a new one. */
function showThumbnail(element, image) {
  element.onerror = async () => {
    element.onerror = null;
    try {
      const { data } = await call(`images/${image.image_id}?details=${DETAILS}`);
      images.set(image.image_id, data.data);
      element.src = data.data.thumbnails.medium;
    } catch {
      // the image is gone, or the API is; both are shown elsewhere
    }
  };
  const { width, height } = image.metadata;
  const scale = Math.min(1, MEDIUM / Math.max(width, height));
  element.width = Math.max(1, Math.round(width * scale));
  element.height = Math.max(1, Math.round(height * scale));
  element.alt = image.caption;
  element.style.backgroundColor = image.placeholder?.color ?? "";
  element.onload = () => (element.style.backgroundColor = ""); // of a transparent image, the page shows through
  element.src = image.thumbnails.medium;
}

// ---- One image ---------------------------------------------------------------------------------------------------

function openDetail(card) {
  const image = images.get(card.dataset.id);
  const { metadata, caption_details: details } = image;
  detail.dataset.id = image.image_id;
  showThumbnail(find("#detail-image"), image);
  find("#open-medium").href = image.thumbnails.medium;
  find("#detail-caption").textContent = image.caption;
  const facts = {
    Name: image.original_name,
    Size: `${numbers.format(metadata.width)} × ${numbers.format(metadata.height)} pixels, ${bytes(metadata.size_bytes)}`,
    Format: metadata.format,
    "Taken or uploaded": metadata.created_at,
    "Changed or uploaded": metadata.modified_at,
    Processed: `${moments.format(new Date(image.processed_at))}, in ${image.time_taken} s`,
    "Caption by": details && `${details.model}, revision ${details.revision.slice(0, 12)}, ${details.precision}`,
    Prompt: details?.prompt,
    Confidence: details?.confidence != null && `${Math.round(100 * details.confidence)} %`,
    "Image id": image.image_id,
  };
  find("#detail-facts").replaceChildren(
    ...Object.entries(facts)
      .filter(([, value]) => value)
      .flatMap(([name, value]) => [["dt", name], ["dd", value]])
      .map(([tag, text]) => Object.assign(document.createElement(tag), { textContent: text })),
  );
  find("#previous").disabled = !neighbour(card, "previousElementSibling");
  find("#next").disabled = !neighbour(card, "nextElementSibling");
  if (!detail.open) detail.showModal();
  find("#detail-caption").focus();
}

function cardOf(imageId) {
  return find(`[data-id="${imageId}"]`, grid);
}

function shownCard() {
  return cardOf(detail.dataset.id);
}

function neighbour(card, direction) {
  let other = card?.[direction];
  while (other?.hidden) other = other[direction];
  return other;
}

function step(direction) {
  const other = neighbour(shownCard(), direction);
  if (other) openDetail(other);
}

// ---- Deletion: it happens when the time to undo it is over --------------------------------------------------------

let pending = null;

function deleteShown() {
  const card = shownCard();
  const image = images.get(card.dataset.id);
  settleDeletion();
  detail.close();
  card.hidden = true;
  pending = { card, image, timer: setTimeout(settleDeletion, UNDO_MS) };
  showToast(`Deleted ${image.original_name}`);
  find("#undo").focus();
}

function showToast(text) {
  find("#toast-text").textContent = text;
  find("#undo").hidden = !pending;
  find("#toast").hidden = false;
  announce(text);
}

function undoDeletion() {
  const { card, image } = takePending();
  card.hidden = false;
  find(".open", card).focus();
  announce(`${image.original_name} is back.`);
}

async function settleDeletion(options) {
  if (!pending) return;
  const { card, image } = takePending();
  try {
    await call(`images/${image.image_id}`, { method: "DELETE", ...options }).catch((error) => {
      if (error.status !== 404) throw error;
    });
    images.delete(image.image_id);
    // A search may have made another card of the image meanwhile.
    card.remove();
    cardOf(image.image_id)?.remove();
    showEmptiness();
  } catch (error) {
    card.hidden = false;
    showToast(`${image.original_name} is not deleted. ${error.message}`);
    setTimeout(() => pending || (find("#toast").hidden = true), UNDO_MS);
  }
}

function takePending() {
  const taken = pending;
  pending = null;
  clearTimeout(taken.timer);
  if (find("#toast").contains(document.activeElement)) {
    (neighbour(taken.card, "nextElementSibling")?.querySelector(".open") ?? find("#images")).focus();
  }
  find("#toast").hidden = true;
  return taken;
}

// ---- Statistics --------------------------------------------------------------------------------------------------

async function refreshStatistics() {
  if (document.hidden || reconnecting || document.body.classList.contains("locked")) return;
  const { data } = await call("stats").catch(() => ({ data: null }));
  if (!data) return;
  const shown = {
    success: numbers.format(data.success),
    failure: numbers.format(data.failure),
    average: `${data.avg_processing_time.toFixed(data.avg_processing_time < 10 ? 2 : 1)} s`,
  };
  for (const [name, value] of Object.entries(shown)) find(`[data-value="${name}"]`).textContent = value;
}

// ---- Events ------------------------------------------------------------------------------------------------------

find(".brand").href = new URL("..", API).pathname;
find("#reference").href = new URL("../docs", API).pathname;
find("#files").onchange = ({ target }) => {
  addFiles([...target.files]);
  target.value = "";
};
find("#clear").onclick = () => removeUploads(document.querySelectorAll('.upload[data-state="failed"]'));
addEventListener("paste", (event) => addFiles([...event.clipboardData.files]));

let dragDepth = 0; // dragenter and dragleave come for each element on the way
const setDragDepth = (depth) => {
  dragDepth = depth;
  document.body.classList.toggle("dragging", depth > 0);
};
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragenter", (event) => hasFiles(event) && setDragDepth(dragDepth + 1));
addEventListener("dragleave", (event) => hasFiles(event) && setDragDepth(Math.max(0, dragDepth - 1)));
addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  setDragDepth(0);
  addFiles([...event.dataTransfer.files]);
});

let typing = 0;
find("#search").oninput = ({ target }) => {
  clearTimeout(typing);
  typing = setTimeout(() => list.search(target.value.trim()), TYPING_MS);
};
find("#search-form").onsubmit = (event) => event.preventDefault();

find("#load-more").onclick = () => list.loadMore();
const atTheEnd = ([entry]) => entry.isIntersecting && find("#list-error").hidden && list.loadMore();
new IntersectionObserver(atTheEnd, { rootMargin: "400px" }).observe(find("#more"));

find("#close").onclick = () => detail.close();
find("#previous").onclick = () => step("previousElementSibling");
find("#next").onclick = () => step("nextElementSibling");
find("#delete").onclick = deleteShown;
find("#undo").onclick = undoDeletion;
detail.onclick = ({ target }) => target === detail && detail.close();
detail.onkeydown = ({ key }) => {
  if (key === "ArrowLeft") step("previousElementSibling");
  if (key === "ArrowRight") step("nextElementSibling");
};
detail.onclose = () => shownCard()?.querySelector(".open").focus();
addEventListener("pagehide", () => settleDeletion({ keepalive: true }));
document.addEventListener("visibilitychange", refreshStatistics);

find("#access").onsubmit = (event) => {
  event.preventDefault();
  unlock();
};

function start() {
  refreshStatistics();
  list.loadMore();
}

setInterval(refreshStatistics, STATISTICS_MS);
if (apiAuth === "AWS_IAM") {
  find("#credential").hidden = find("#access button").hidden = true;
  lock("This API only takes requests with a signature of AWS. A page cannot sign them, so the gallery is empty.");
} else if (credential && !sessionStorage.getItem(STORED)) {
  lock(`This API needs ${credential.article} ${credential.name}. This page forgets it when the tab is closed.`);
} else {
  start();
}
