// What scripts say: the server's texts, in the page's language, from data attributes. No script has a text of its own.

// `Page {number} of {count}` with its values.
export function filled(text, values) {
  return Object.entries(values).reduce((said, [name, value]) => said.replace(`{${name}}`, () => String(value)), text);
}

// A text that changes with the number in it: JSON with `other`, and the numbers of which it is said otherwise.
export function counted(forms, count) {
  const known = JSON.parse(forms);
  return filled(known[count] ?? known.other, { count });
}
