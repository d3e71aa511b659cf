// Elements, without markup in strings: what a registry wrote is text and nothing else.
const SVG = "http://www.w3.org/2000/svg";

function made(it, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) it.setAttribute(name, value);
  it.append(...children);
  return it;
}

export const element = (name, attributes = {}, ...children) => made(document.createElement(name), attributes, children);
export const drawn = (name, attributes = {}, ...children) => made(document.createElementNS(SVG, name), attributes, children);

// The number of rows of a response; *results* may have only the first of them.
export const total = (results) => results.getAsJson()?.total ?? results.getBindings()?.length ?? 0;

// The last part of an IRI, or the text itself.
export const short = (value) => (/^\w+:\/\//.test(value) ? decodeURIComponent(value.replace(/[/#]+$/, "").split(/[/#]/).pop()) : value);
export const visible = (value) => value.replace(/[\u0000-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, " ");
export const web = (value) => /^https?:\/\//.test(value);
