// ---- Deletion: it happens when the time to undo it is over --------------------------------------------------------

const UNDO_MS = 6000;
const TOAST_MS = 6000;
const DELETIONS_AT_ONCE = 6;

let pending = null; // {ids, name, timer}
let toastTimer = 0;

function deleteImages(ids) {
  settleDeletion();
  const name = ids.length === 1 ? images.get(ids[0]).original_name : counted(ids.length, "image");
  const shown = list.shown;
  const next = shown.slice(shown.indexOf(ids[0])).find((id) => !ids.includes(id));
  for (const id of ids) deleted.add(id);
  pending = { ids, name, next, timer: setTimeout(settleDeletion, UNDO_MS) };
  closeViewer();
  draw();
  showToast(`Deleted ${name}`);
  $("#undo").focus();
}

function showToast(text) {
  clearTimeout(toastTimer);
  $("#toast-text").textContent = text;
  $("#undo").hidden = !pending;
  $("#toast").hidden = false;
  announce(text);
  if (!pending) toastTimer = setTimeout(() => pending || ($("#toast").hidden = true), TOAST_MS);
}

function undoDeletion() {
  const { ids, name } = takePending();
  for (const id of ids) deleted.delete(id);
  draw();
  $(".open", cardOf(ids[0]) ?? document)?.focus();
  announce(`${name} ${ids.length === 1 ? "is" : "are"} back.`);
}

async function settleDeletion(options) {
  if (!pending) return;
  const { ids } = takePending();
  const failures = [];
  const remove = (id) =>
    call(`images/${id}`, { method: "DELETE", ...options }).catch((error) => error.status === 404 || failures.push([id, error]));
  // A page that is left has no time for one request after the other.
  const atOnce = options ? ids.length : DELETIONS_AT_ONCE;
  for (let start = 0; start < ids.length; start += atOnce) await Promise.all(ids.slice(start, start + atOnce).map(remove));
  const kept = new Set(failures.map(([id]) => id));
  for (const id of kept) deleted.delete(id);
  list.remove(ids.filter((id) => !kept.has(id)));
  draw();
  if (failures.length) {
    const [[first, error]] = failures;
    const what = failures.length === 1 ? `${images.get(first).original_name} is` : `${counted(failures.length, "image")} are`;
    showToast(`${what} not deleted. ${error.message}`);
  }
}

/** Do not let the time to undo end while the pointer is over the button. */
function holdDeletion() {
  clearTimeout(pending?.timer);
}

function continueDeletion() {
  if (pending) pending.timer = setTimeout(settleDeletion, UNDO_MS);
}

function takePending() {
  const taken = pending;
  pending = null;
  clearTimeout(taken.timer);
  if ($("#toast").contains(document.activeElement)) {
    (cardOf(taken.next)?.querySelector(".open") ?? $("#images")).focus();
  }
  $("#toast").hidden = true;
  return taken;
}
