// ---- Requests ----------------------------------------------------------------------------------------------------

const API = new URL("api/", location.origin + location.pathname.replace(/\/?$/, "/"));
const TRIES = 4;
const MAX_WAIT_SECONDS = 60;
const RECONNECT_MS = 2000;

class Unreachable extends Error {}

let reconnecting = false;
let hasLostLarge = false; // the stack has stopped making large thumbnails since this page was loaded

const urlOf = (path) => new URL(hasLostLarge ? path.replace(/(,|%2C)large/, "") : path, API);

/** Tell whether the stack does not make large thumbnails any more. Then it refuses each request for them. */
async function losesLarge() {
  const ask = () => fetch(urlOf("images?limit=1&details=large"), { headers: credentialHeaders() }).catch(() => ({}));
  return (hasLostLarge ||= LARGE > 0 && (await ask()).status === 400);
}

async function isReachable() {
  try {
    await fetch(new URL("stats", API), { cache: "no-store" });
    return true;
  } catch {
    return false;
  }
}

/** Say that the API cannot be reached. When it can, everything that waits goes on. */
async function reconnect() {
  if (reconnecting) return;
  reconnecting = true;
  $("#unreachable").textContent = navigator.onLine
    ? "The API cannot be reached. This page tries again every 2 seconds."
    : "You are offline. This page goes on as soon as you are online again.";
  $("#unreachable").hidden = false;
  do await pause(RECONNECT_MS);
  while (!(await isReachable()));
  reconnecting = false;
  $("#unreachable").hidden = true;
  refreshStatistics();
  reloadThumbnails();
  startUploads();
  list.loadMore();
}

/** Send a request until its response asks for no other try. `request` returns {status, header, body}. */
async function repeated(request) {
  for (let tries = 1; ; tries += 1) {
    const mayHaveLarge = !hasLostLarge;
    const { status, header, body } = await request();
    if (status >= 200 && status < 300) return body;
    const refused = isRefused(status, header("WWW-Authenticate"));
    if (status === 400 && mayHaveLarge && (await losesLarge())) continue;
    if (refused) lock(`This ${credential.name} is not accepted. Please enter another one.`);
    const seconds = Number(header("Retry-After"));
    // Limits of images and of a day do not pass soon.
    const passes = status >= 500 || status === 409 || (status === 429 && seconds && seconds <= MAX_WAIT_SECONDS);
    if (tries === TRIES || !passes) {
      const error = new Error(body?.error ?? body?.data ?? body?.message ?? `The API returned status ${status}.`);
      throw Object.assign(error, { status, refused });
    }
    await pause(1000 * (seconds || 2));
  }
}

function call(path, options) {
  return repeated(async () => {
    let response;
    try {
      response = await fetch(urlOf(path), {
        ...options,
        headers: { ...credentialHeaders(), ...options?.headers },
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      reconnect();
      throw new Unreachable("The API cannot be reached.");
    }
    const body = await response.json().catch(() => null);
    return { status: response.status, header: (name) => response.headers.get(name), body };
  });
}

function callWith(path, body, signal) {
  return call(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
}

/** Post a form with a file to a URL object. fetch() cannot report the progress of an upload, so this uses XMLHttpRequest. */
function post(url, form, { headers = {}, signal, onProgress }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onerror = () => reject(new Unreachable("The connection was lost while the file was sent."));
    request.onabort = () => reject(signal.reason);
    request.onload = () => {
      let body = null;
      try {
        body = JSON.parse(request.responseText);
      } catch {
        // a response of S3 is XML or empty
      }
      const header = (name) => (url.origin === location.origin ? request.getResponseHeader(name) : null);
      resolve({ status: request.status, header, body });
    };
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}
