// ---- The address: #/search/<words>, #/image/<id>, or one after the other ------------------------------------------

function readAddress() {
  const [, words = "", imageId = null] = /^#(?:\/search\/([^/]*))?(?:\/image\/([\da-f-]+))?$/i.exec(location.hash) ?? [];
  try {
    return { words: decodeURIComponent(words), imageId };
  } catch {
    return { words: "", imageId };
  }
}

function addressOf({ words, imageId }) {
  const search = words ? `/search/${encodeURIComponent(words)}` : "";
  const image = imageId ? `/image/${imageId}` : "";
  return location.pathname + location.search + (search || image ? `#${search}${image}` : "");
}

/** Change the address. `isStep` makes Back return to the address of before. */
function setAddress(address, isStep) {
  if (isStep) history.pushState({ isStep: true }, "", addressOf(address));
  else history.replaceState(history.state, "", addressOf(address));
}

/** Show what the address says. */
function followAddress() {
  const { words, imageId } = readAddress();
  if (words !== list.words) {
    find("#search").value = words;
    list.search(words);
  }
  if (imageId) showImage(imageId);
  else if (detail.open) closeViewer();
}

function searchFor(words) {
  if (words === list.words) return;
  setAddress({ words }, words && !list.words);
  list.search(words);
}
