// ---- Access: what the API wants to see of each request, if the stack says so --------------------------------------

const { apiAuth } = document.body.dataset;
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

function isLocked() {
  return document.body.classList.contains("locked");
}

function lock(text) {
  sessionStorage.removeItem(STORED);
  closeViewer();
  document.body.classList.add("locked");
  $("#access-text").textContent = text;
  $("#access").hidden = false;
  $("#credential").focus();
}

function unlock() {
  const key = cleaned($("#credential").value);
  // A browser cannot send other characters in a header.
  if (!/^[!-~]+$/.test(key)) {
    lock(`This is not ${credential.article} ${credential.name}: it has characters that none can have. Please copy it again.`);
    return;
  }
  sessionStorage.setItem(STORED, key);
  $("#credential").value = "";
  $("#access").hidden = true;
  document.body.classList.remove("locked");
  start();
}
