// The gallery: uploads files, lists images and shows one. Text from the API is only ever set as text, never as HTML.
// ---- Words, numbers and elements ---------------------------------------------------------------------------------

const $ = (selector, parent = document) => parent.querySelector(selector);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const copyOf = (template) => $(template).content.cloneNode(true).firstElementChild;

// Numbers and dates are written as in the country of the reader.
const numbers = new Intl.NumberFormat();
const moments = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const agos = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const AGO_MS = 30000;
const UPLOAD_TIME_MS = 3600000;

const counted = (count, noun) => `${numbers.format(count)} ${noun}${count === 1 ? "" : "s"}`;

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
  return agos.format(0, "second");
}

function showAgo(time) {
  time.textContent = ago(time.dateTime);
}

/**
 * Return a date of the metadata, such as "2026-03-01 12:00:00", in words. A file without a date has the time of its
 * upload instead, in UTC: then return nothing.
 */
function dateOfFile(text, image) {
  const [time, utc] = [new Date(text.replace(" ", "T")), new Date(`${text.replace(" ", "T")}Z`)];
  const sinceUpload = new Date(image.processed_at) - utc;
  return sinceUpload > -1000 && sinceUpload < UPLOAD_TIME_MS ? null : moments.format(time);
}

function announce(text) {
  $("#announcer").textContent = text;
}

/** Make the children of an element exactly these. Elements that stay are not moved, so they keep the focus. */
function arrange(parent, children) {
  const kept = new Set(children);
  for (const child of [...parent.children]) kept.has(child) || child.remove();
  let at = parent.firstElementChild;
  for (const child of children) {
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
}
