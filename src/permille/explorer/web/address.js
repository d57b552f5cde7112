// What the address asks for: the query where the page is served, the hash in a file.

// A file may be put on a web server, too: it is known by the figures inside it.
export const inFile = location.protocol === "file:" || document.getElementById("document") !== null;

export const asked = () => new URLSearchParams(inFile ? location.hash.slice(1) : location.search);
