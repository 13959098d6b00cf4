// ---- Files: chosen, dropped or pasted ----------------------------------------------------------------------------

const mediaTypes = $("#files").accept;
const { signatures, acceptedFiles, maxUploadBytes, maxDirectUploadBytes } = document.body.dataset;

/** Return the files of a drop, with those in folders. The browser gives no access to the drop after the event. */
async function droppedFiles({ items, files }) {
  const entries = [...items].map((item) => item.webkitGetAsEntry?.());
  if (!entries.some((entry) => entry?.isDirectory)) return [...files];
  const found = [];
  let others = 0;
  for (const entry of entries) {
    const inside = entry ? await filesOf(entry) : [];
    const images = entry?.isDirectory ? inside.filter(({ type }) => !type || mediaTypes.includes(type)) : inside;
    others += inside.length - images.length;
    found.push(...images);
  }
  if (others || !found.length) showToast(`${counted(others, "file")} left out: only ${acceptedFiles} files are added`);
  return found;
}

async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // 100 at most
    if (!entries.length) return files;
    for (const inside of entries) if (!inside.name.startsWith(".")) files.push(...(await filesOf(inside)));
  }
}

/** Return the pasted files. Spreadsheets and word processors add a picture of the copied text, which is not meant. */
function pastedFiles(clipboard) {
  const files = [...clipboard.files];
  const text = clipboard.getData("text/plain").trim();
  const names = files.map(({ name }) => name).join("\n"); // as a file manager adds it
  return text && text !== names ? [] : files;
}

/** Throw an error that says what is wrong with a file. No other try can help then. */
async function check(file) {
  const refuse = (text) => {
    throw Object.assign(new Error(text), { isFinal: true });
  };
  const head = await file.slice(0, 16).arrayBuffer().catch(() =>
    refuse("This file cannot be read. Perhaps it was moved or changed, or it is a folder. Please choose it again."),
  );
  const hex = [...new Uint8Array(head)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (!hex) refuse("This file is empty.");
  if (!signatures.split(",").some((signature) => hex.startsWith(signature))) {
    const [, extension = ""] = /\.([^.]{1,5})$/.exec(file.name.toUpperCase()) ?? [];
    const kind = extension && !acceptedFiles.includes(extension) ? `${extension}, ` : "";
    refuse(`This file is ${kind}not ${acceptedFiles}. Please save it in one of these formats.`);
  }
  if (file.size > maxDirectUploadBytes) {
    const [size, limit] = [file.size, maxDirectUploadBytes].map((count) => numbers.format(count));
    refuse(`The file has ${size} bytes. Please choose one of at most ${limit} bytes.`);
  }
}
