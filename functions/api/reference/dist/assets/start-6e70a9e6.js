// The page is at /docs/, and the document beside that folder.
Redoc.init("../openapi.json", { hideDownloadButton: false }, document.getElementById("reference"));
