// Runs before the first paint: style sheets hide what only works with scripts until this class is there.
document.body.className += " js-enabled" + ("noModule" in HTMLScriptElement.prototype ? " nhsuk-frontend-supported" : "");
