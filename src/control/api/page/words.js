// How figures are written, and how elements are made. What comes from clients becomes text here, never markup.

/** An element with attributes and children; a child that is no element becomes text. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, '');
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  for (const child of children) made.append(child instanceof Node ? child : String(child));
  return made;
}

/** The element of this id. */
export const at = (id) => document.getElementById(id);

/** Sets a text, if it is another one: what has not changed is not read out again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);

function scaled(value, units, base) {
  let place = 0;
  while (Math.abs(value) >= base && place < units.length - 1) {
    value /= base;
    place += 1;
  }
  const digits = Math.abs(value) >= 100 || (place === 0 && Number.isInteger(value)) ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return `${value.toFixed(digits)}${units[place]}`;
}

/** A number of things: whole up to 99,999, then short. */
export function count(value) {
  if (!isNumber(value)) return '–';
  if (Math.abs(value) < 100000 && Number.isInteger(value)) return value.toLocaleString('en');
  return scaled(value, ['', ' k', ' M', ' G', ' T'], 1000);
}

/** Things a second. */
export const rate = (value) => (isNumber(value) ? `${count(Math.abs(value) < 10 ? Math.round(value * 10) / 10 : Math.round(value))}/s` : '–');

/** Bytes, in powers of 1000. */
export const bytes = (value) => (isNumber(value) ? scaled(value, [' B', ' kB', ' MB', ' GB', ' TB'], 1000) : '–');

/** Bytes a second. */
export const byteRate = (value) => (isNumber(value) ? `${bytes(Math.round(value))}/s` : '–');

/** A time that is given in microseconds. */
export const micros = (value) => (isNumber(value) ? scaled(value / (value >= 1e6 ? 1e6 : 1), value >= 1e6 ? [' s'] : [' µs', ' ms'], 1000) : '–');

/** Thousandths as percent. */
export const permille = (value) => (isNumber(value) ? `${(value / 10).toFixed(value < 100 ? 1 : 0)} %` : '–');

/** A ratio. */
export const ratio = (value) => (isNumber(value) ? `${value >= 100 ? count(Math.round(value)) : value.toFixed(value >= 10 ? 1 : 2)}×` : '–');

/** A span of time that is given in seconds. */
export function span(seconds) {
  if (!isNumber(seconds)) return '–';
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  if (minutes > 0) return `${minutes} min ${Math.floor(seconds) % 60} s`;
  return `${Math.floor(seconds)} s`;
}

/** How long ago, for an axis. */
export const ago = (seconds) => (seconds < 1 ? 'now' : seconds % 60 === 0 ? `−${seconds / 60} min` : `−${seconds} s`);

/** A figure's name as words. */
export const words = (name) => name.replaceAll('_', ' ').replaceAll('/', ' ');
