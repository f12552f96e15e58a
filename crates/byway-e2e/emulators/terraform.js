// Terraform files: each must be as `terraform fmt` writes it, and one that can be read.
const fs = require("fs");
const path = require("path");
const load = (name) => require(path.join(process.env.BYWAY_TEST_NODE, "node_modules", name));
const { format } = load("@cdktf/hcl-tools");
const { parse } = load("@cdktf/hcl2json");

async function main(files) {
  for (const file of files) {
    const text = fs.readFileSync(file, "utf8");
    await parse(file, text);
    if ((await format(text)) !== text) throw new Error(`${file}: not formatted`);
  }
  console.log(`${files.length} files`);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
