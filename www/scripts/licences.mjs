// Puts the licences into the package while it is packed (`put`), and takes them away again
// (`remove`).
import { copyFileSync, rmSync } from "node:fs";

for (const name of ["LICENSE-MIT", "LICENSE-APACHE"]) {
  const copy = new URL(`../${name}`, import.meta.url);
  if (process.argv[2] === "put") copyFileSync(new URL(`../../${name}`, import.meta.url), copy);
  else rmSync(copy, { force: true });
}
