// Node clients through the gateway: undici, axios, ws.
const fs = require("fs");
const path = require("path");
const [gateway, plain, tls, ca, socket] = process.argv.slice(2);
const load = (name) => require(path.join(process.env.BYWAY_TEST_NODE, "node_modules", name));
const undici = load("undici");
const axios = load("axios");
const WebSocket = load("ws");

const query = "/x?q=%ED%95%9C";
const check = (status, text, what) => {
  if (status !== 200 || !text.includes(`GET ${query}`)) throw new Error(`${what}: ${status} ${text}`);
};

async function main() {
  const authority = fs.readFileSync(ca);
  const proxy = new undici.ProxyAgent({ uri: `http://${gateway}`, requestTls: { ca: authority } });
  for (const url of [`http://${plain}${query}`, `https://${tls}${query}`]) {
    const answer = await undici.request(url, { dispatcher: proxy });
    check(answer.statusCode, await answer.body.text(), `undici ${url}`);
  }
  const base = await undici.request(`http://${gateway}/to/tls${query}`);
  check(base.statusCode, await base.body.text(), "undici, base URL");

  const [host, port] = gateway.split(":");
  const settings = { proxy: { protocol: "http", host, port: Number(port) }, responseType: "text" };
  // Older axios asks a proxy for https by absolute-form, newer by CONNECT; either has to work.
  for (const url of [`http://${plain}${query}`, `https://${tls}${query}`]) {
    const answer = await axios.get(url, settings);
    check(answer.status, String(answer.data), `axios ${url}`);
  }

  await new Promise((done, failed) => {
    const ws = new WebSocket(`ws://${gateway}/to/socket/chat`);
    ws.on("open", () => ws.send("hello"));
    ws.on("message", (text) => (String(text) === "hello" ? (ws.close(), done()) : failed(text)));
    ws.on("error", failed);
  });
  console.log("fine");
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
