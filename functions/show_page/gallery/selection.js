// ---- Several images at once --------------------------------------------------------------------------------------

const selected = new Set(); // image ids
let lastSelected = null;

/** Select or unselect an image and, with Shift, all images from the last one to it. */
function select(imageId, isSelected, isRange) {
  const ids = list.shown;
  const places = [ids.indexOf(imageId), isRange ? ids.indexOf(lastSelected) : -1].filter((place) => place >= 0);
  for (const id of ids.slice(Math.min(...places), Math.max(...places) + 1)) {
    if (isSelected) selected.add(id);
    else selected.delete(id);
  }
  lastSelected = imageId;
  showSelection();
}

function unselect() {
  selected.clear();
  lastSelected = null;
  showSelection();
}

function showSelection() {
  for (const card of grid.children) $(".select", card).checked = selected.has(card.dataset.id);
  document.body.classList.toggle("selecting", selected.size > 0);
  $("#selection").hidden = !selected.size;
  $("#selection-count").textContent = `${numbers.format(selected.size)} selected`;
}

/** Return the selected images in the order of the list. */
function selectedImages() {
  return list.shown.filter((id) => selected.has(id)).map((id) => images.get(id));
}

function deleteSelected() {
  const ids = selectedImages().map(({ image_id: id }) => id);
  unselect();
  deleteImages(ids);
}

function copyCaptions() {
  const lines = selectedImages().map(({ original_name: name, caption }) => `${name}\t${caption}`);
  copy(lines.join("\n"), counted(lines.length, "caption"));
}

function downloadLinks() {
  const address = (image) => new URL(addressOf({ imageId: image.image_id }), location).href;
  const text = selectedImages().map((image) => `${address(image)}\n`).join("");
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([text])), download: "images.txt" });
  link.click();
  URL.revokeObjectURL(link.href);
}
