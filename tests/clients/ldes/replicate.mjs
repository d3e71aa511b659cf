// Replicates an event stream: a member a line on standard output, as JSON with its name and its quads in N-Quads.
// With the argument "follow" it goes on polling until it is ended. It asks for the members in their order: without that, ldes-client 0.3.0
// may close before it has given the last members of a page.
import { replicateLDES } from "ldes-client";
import { Writer } from "n3";

const [url, mode] = process.argv.slice(2);
const client = replicateLDES({ url, polling: mode === "follow", pollInterval: 300 }, "ascending");
client.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
const reader = client.stream({ highWaterMark: 10 }).getReader();
for (;;) {
  const { value, done } = await reader.read();
  if (done) break;
  const writer = new Writer({ format: "N-Quads" });
  process.stdout.write(JSON.stringify({ id: value.id.value, quads: writer.quadsToString(value.quads) }) + "\n");
}
