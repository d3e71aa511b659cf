// Rows: reads a response as it arrives, counts its rows and stores the first of them, whatever the size of the response.
// Source: https://www.w3.org/TR/sparql11-results-json/ (a row is an object in the array "bindings", the third level of the document).
const QUOTE = 0x22, BACKSLASH = 0x5c, OPEN_ARRAY = 0x5b, CLOSE_ARRAY = 0x5d, OPEN_OBJECT = 0x7b, CLOSE_OBJECT = 0x7d, LINE = 0x0a, DOT = 0x2e;
const ROW_LEVEL = 3;
const encoder = new TextEncoder();

// A table in JSON. The text that is kept is a table too, with the first *most* rows, each on a line, and all members behind the rows;
// where rows were left out, the member "total" counts all of them.
export class Table {
  rows = 0;
  #most;
  #parts = [];
  #levels = [];
  #string = false;
  #escaped = false;
  #skipping = false;

  constructor(most) {
    this.#most = most;
  }

  push(chunk) {
    let from = 0;
    const keep = (to) => {
      if (!this.#skipping && to > from) this.#parts.push(chunk.slice(from, to));
      from = to;
    };
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at];
      if (this.#string) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === BACKSLASH) this.#escaped = true;
        else if (byte === QUOTE) this.#string = false;
      } else if (byte === QUOTE) {
        this.#string = true;
      } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
        if (byte === OPEN_OBJECT && this.#inRows()) {
          this.rows++;
          keep(at);
          if (!this.#skipping) this.#parts.push(encoder.encode("\n"));
        }
        this.#levels.push(byte);
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        if (byte === CLOSE_ARRAY && this.#inRows()) {
          keep(at);
          this.#skipping = false;
          from = at;
        }
        this.#levels.pop();
        if (byte === CLOSE_OBJECT && this.#inRows() && this.rows === this.#most) {
          keep(at + 1);
          this.#skipping = true;
        }
      }
    }
    keep(chunk.length);
  }

  get kept() {
    return Math.min(this.rows, this.#most);
  }

  async text() {
    const whole = await new Blob(this.#parts).text();
    return this.rows > this.#most ? whole.replace(/\}\s*$/, `,"total":${this.rows}}`) : whole;
  }

  #inRows() {
    return this.#levels.length === ROW_LEVEL && this.#levels[ROW_LEVEL - 1] === OPEN_ARRAY;
  }
}

// A graph in Turtle or N-Triples. The text that is kept ends with a statement, at a line that ends with a dot: the first behind *most* lines,
// or the last before *size* bytes.
export class Graph {
  cut = false; // something was left out
  #most;
  #size;
  #parts = [];
  #kept = 0; // bytes
  #lines = 0;
  #end = 0; // bytes up to the end of the last statement
  #full = false;
  #last = 0;

  constructor(most, size = 4 << 20) {
    this.#most = most;
    this.#size = size;
  }

  push(chunk) {
    if (this.#full) {
      this.cut ||= chunk.length > 0;
      return;
    }
    this.#parts.push(chunk.slice());
    for (const byte of chunk) {
      this.#kept++;
      if (byte === LINE) {
        this.#lines++;
        if (this.#last === DOT) this.#end = this.#kept;
      }
      this.#last = byte;
      if (this.#full) this.cut = true;
      this.#full ||= this.#kept >= this.#size || (this.#lines >= this.#most && this.#end === this.#kept);
      if (this.cut) return;
    }
  }

  async text() {
    const whole = new Blob(this.#parts);
    return (this.cut ? whole.slice(0, this.#end) : whole).text();
  }
}
