// The colour scheme that the reader chose, before the page is drawn.
document.body.dataset.theme = localStorage.getItem("theme") || "auto";
