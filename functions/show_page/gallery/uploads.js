// ---- Uploads -----------------------------------------------------------------------------------------------------

const UPLOADS_AT_ONCE = 2;
const MAX_ROWS = 50;
const MAX_LOSSES = 4;
const LOSS_PAUSE_MS = 2000;
// As long as the Retry-After of an image that is still processed.
const STILL_PROCESSING_MS = 2000;
const DONE_MS = 2500;
const UNFINISHED = "unfinished"; // the names of files that were not uploaded when the page was left
// The states of an upload, in the order of their rows.
const STATES = ["processing", "sending", "failed", "waiting", "done"];

let jobs = [];
let running = 0;
let finished = 0; // since the list was empty

function addFiles(files) {
  for (const file of files) addJob({ file, name: file.name, key: newKey(), losses: 0 });
  startUploads();
}

/** An upload: its file, its state, its row on the page, and what a repeated try needs. */
function addJob(job) {
  job.row = copyOf("#upload");
  $(".name", job.row).textContent = job.name;
  $("progress", job.row).setAttribute("aria-label", `Progress of ${job.name}`);
  $(".retry", job.row).onclick = () => retry([job]);
  $(".cancel", job.row).onclick = () => cancel([job]);
  $(".cancel", job.row).setAttribute("aria-label", `Cancel ${job.name}`);
  jobs.push(job);
  show(job, "waiting", "Waiting");
}

/** Name the files that were not uploaded before the page was left. */
function showUnfinished() {
  const names = JSON.parse(sessionStorage.getItem(UNFINISHED) ?? "[]");
  sessionStorage.removeItem(UNFINISHED);
  for (const name of names) {
    addJob({ name, isFinal: true });
    show(jobs.at(-1), "failed", "The page was left before this file was uploaded. Please add it again.");
  }
}

function keepUnfinished() {
  const names = unfinished().map(({ name }) => name);
  if (names.length) sessionStorage.setItem(UNFINISHED, JSON.stringify(names));
}

const inState = (...states) => jobs.filter(({ state }) => states.includes(state));
const unfinished = () => inState("waiting", "sending", "processing");
const retryable = () => inState("failed").filter(({ isFinal }) => !isFinal);

function show(job, state, text, share = 0) {
  Object.assign(job, { state, share });
  job.row.dataset.state = state;
  $(".state", job.row).textContent = text;
  const bar = $("progress", job.row);
  if (state === "processing") bar.removeAttribute("value");
  else bar.value = share;
  $(".retry", job.row).hidden = state !== "failed" || job.isFinal;
  // A file that is processed becomes an image, whatever this page does.
  $(".cancel", job.row).hidden = state === "processing" || state === "done" || state === "failed";
  showUploads();
}

let isShowing = false;

/** Show all uploads, once for all changes of this moment. */
function showUploads() {
  if (isShowing) return;
  isShowing = true;
  queueMicrotask(() => {
    isShowing = false;
    const failed = inState("failed").length;
    const left = unfinished();
    const total = finished + left.length;
    const shares = left.reduce((sum, { share }) => sum + share, finished);
    const rows = STATES.flatMap((state) => inState(state));
    arrange($("#upload-list"), rows.slice(0, MAX_ROWS).map(({ row }) => row));
    $("#upload-rest").textContent = rows.length > MAX_ROWS ? `and ${numbers.format(rows.length - MAX_ROWS)} more` : "";
    $("#uploads").hidden = !jobs.length;
    const count = `${numbers.format(finished)} of ${numbers.format(total)} uploaded`;
    $("#uploads-title").textContent = [total && count, failed && `${numbers.format(failed)} failed`].filter(Boolean).join(", ");
    $("#uploads-progress").hidden = !left.length;
    $("#uploads-progress").value = total ? shares / total : 0;
    $("#retry-all").hidden = retryable().length < 2;
    $("#cancel-all").hidden = inState("waiting", "sending").length < 2;
    $("#clear").hidden = !failed;
    if (!jobs.length) finished = 0;
  });
}

/** Start uploads, unless they could not succeed now. They go on when the API is back, or when the key is entered. */
function startUploads() {
  while (running < UPLOADS_AT_ONCE && !reconnecting && !isLocked()) {
    const job = jobs.find(({ state, isPaused }) => state === "waiting" && !isPaused);
    if (!job) break;
    running += 1;
    upload(job).finally(() => {
      running -= 1;
      startUploads();
      if (!running) refreshStatistics();
    });
  }
}

function retry(failed) {
  for (const job of failed) {
    job.losses = 0;
    show(job, "waiting", "Waiting");
  }
  startUploads();
}

function cancel(cancelled) {
  const hadFocus = $("#uploads").contains(document.activeElement);
  for (const job of cancelled) job.controller?.abort(new DOMException("cancelled", "AbortError"));
  forget(cancelled);
  if (hadFocus) $("#uploads-title").focus();
}

function forget(forgotten) {
  jobs = jobs.filter((job) => !forgotten.includes(job));
  showUploads();
}

async function upload(job) {
  job.controller = new AbortController();
  const onProgress = (share) => {
    if (job.controller.signal.aborted) return;
    if (share < 1) show(job, "sending", `Sending ${Math.round(100 * share)} %`, share);
    else show(job, "processing", "Processing", 1);
  };
  onProgress(0);
  try {
    await check(job.file);
    const image = await send(job, onProgress);
    finished += 1;
    show(job, "done", "Done");
    setTimeout(forget, DONE_MS, [job]); // its card stays
    if (list.words) images.set(image.image_id, image); // the grid shows what matches the search
    else list.add([image]);
    draw();
    announce(`${job.name} is processed: ${image.caption}`);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error instanceof Unreachable) return waitForConnection(job, error);
    if (error.refused) return show(job, "waiting", "Waiting for access");
    job.isFinal = isFinal(error);
    show(job, "failed", error.message);
    announce(`${job.name} failed: ${error.message}`);
  }
}

/** Tell whether the same file fails again. 401 and 403 say nothing about the file. */
function isFinal({ isFinal: told, status }) {
  return told ?? (status >= 400 && status < 500 && ![401, 403, 409, 429].includes(status));
}

/** Let an upload go on when the API is back. If only this file loses its connection each time, it fails. */
async function waitForConnection(job, error) {
  job.isPaused = true;
  show(job, "waiting", "Waiting for the connection");
  if (await isReachable()) {
    job.losses += 1;
    if (job.losses >= MAX_LOSSES) show(job, "failed", `${error.message} It was tried ${MAX_LOSSES} times.`);
    else await pause(LOSS_PAUSE_MS);
  } else {
    reconnect();
  }
  job.isPaused = false;
}

/** Send a file as a form or, if it is too large for that, straight to the bucket. */
async function send(job, onProgress) {
  job.isDirect ??= job.file.size > maxUploadBytes;
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

async function uploadForm({ file, key, controller }, onProgress) {
  const form = new FormData();
  form.append("file", file);
  const { signal } = controller;
  // With the same key, a repeated upload does not make a second image.
  const body = await repeated(() => {
    signal.throwIfAborted();
    return post(urlOf(`images?details=${DETAILS}`), form, { headers: { ...credentialHeaders(), "Idempotency-Key": key }, signal, onProgress });
  });
  return body.data;
}

/**
 * Send a file to the bucket. A repeated try uses the same form, so it does not make a second image. If the whole file
 * had left, it may have arrived: then the API is asked first.
 */
async function uploadDirectly(job, onProgress) {
  const { signal } = job.controller;
  const asked = job.hasLeft && (await imageOf(job, onProgress));
  if (asked) return asked;
  job.target ??= await requestUpload(job);
  const form = new FormData();
  for (const [name, value] of Object.entries(job.target.upload.fields)) form.append(name, value);
  form.append("file", job.file);
  signal.throwIfAborted();
  const sent = await post(new URL(job.target.upload.url), form, {
    signal,
    onProgress(share) {
      job.hasLeft = share === 1;
      onProgress(share);
    },
  });
  if (sent.status >= 300) {
    Object.assign(job, { target: null, hasLeft: false });
    throw new Error(`The storage refused the file with status ${sent.status}.`);
  }
  for (;;) {
    const image = await imageOf(job, onProgress);
    if (image) return image;
    await pause(STILL_PROCESSING_MS);
  }
}

async function requestUpload({ file, controller }) {
  // The format is detected from the content, so a type that the API does not know does not matter.
  const type = mediaTypes.split(",").includes(file.type) ? file.type : "";
  const { data } = await callWith("uploads", { filename: file.name, content_type: type }, controller.signal);
  return data;
}

/** Wait for the image of a direct upload. Return its data, or null if it is still processed. */
async function imageOf(job, onProgress) {
  onProgress(1);
  const { data: image } = await call(`${job.target.status_url}?wait=20&details=${DETAILS}`);
  if (image.image_status === "success") return image.data;
  if (image.image_status === "processing") return null;
  if (image.temporary) Object.assign(job, { target: null, hasLeft: false }); // the next try makes another image
  throw Object.assign(new Error(image.error), { isFinal: !image.temporary });
}

function newKey() {
  // crypto.randomUUID() does not exist on a page that came over plain HTTP from another machine.
  return [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(16)).join("-");
}
