'use strict';

// Which addresses this relay dials.
// Not how names are resolved: whoever dials asks about each address that a name gave.
// What is not known to be public is forbidden, so that a name of somebody else never leads into our own network.

const IPV4 = [
  ['0.0.0.0/8', 'this network'],
  ['10.0.0.0/8', 'private'],
  ['100.64.0.0/10', 'carrier-grade NAT'],
  ['127.0.0.0/8', 'loopback'],
  // Azure's platform address lies in public space, and answers every machine there.
  ['168.63.129.16/32', 'metadata'],
  ['169.254.0.0/16', 'link-local'],
  ['172.16.0.0/12', 'private'],
  ['192.0.0.0/24', 'protocol assignments'],
  ['192.0.2.0/24', 'documentation'],
  ['192.88.99.0/24', '6to4 relay'],
  ['192.168.0.0/16', 'private'],
  ['198.18.0.0/15', 'benchmarking'],
  ['198.51.100.0/24', 'documentation'],
  ['203.0.113.0/24', 'documentation'],
  ['224.0.0.0/4', 'multicast'],
  ['240.0.0.0/4', 'reserved'],
];

// The first that fits names the class, so the narrower ones come first.
const IPV6 = [
  ['::/128', 'unspecified'],
  ['::1/128', 'loopback'],
  ['::ffff:0:0/96', 'IPv4-mapped'],
  ['::/96', 'IPv4-compatible'],
  ['64:ff9b::/96', 'NAT64'],
  ['64:ff9b:1::/48', 'NAT64'],
  ['100::/64', 'discard-only'],
  ['2001::/32', 'Teredo'],
  ['2001:db8::/32', 'documentation'],
  // The other assignments in here are for protocols, not for hosts that are called.
  ['2001::/23', 'protocol assignments'],
  ['2002::/16', '6to4'],
  ['3fff::/20', 'documentation'],
  ['fd00:ec2::254/128', 'metadata'],
  ['fd20:ce::254/128', 'metadata'],
  ['fc00::/7', 'unique local'],
  ['fe80::/10', 'link-local'],
  ['fec0::/10', 'site-local'],
  ['ff00::/8', 'multicast'],
];
// All that has been given out for hosts so far; the rest is reserved.
const GLOBAL_UNICAST = parseNetwork('2000::/3');
const CLASSES = [...IPV4, ...IPV6].map(([network, name]) => ({ network: parseNetwork(network), name }));

function parseIpv4(text) {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  // A leading zero means octal to some readers, so there is no address with one.
  if (!parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) <= 255)) return null;
  return Buffer.from(parts.map(Number));
}

// Gives the groups of one side of `::` as bytes, or null.
function parseGroups(text) {
  if (text === '') return Buffer.alloc(0);
  const bytes = [];
  const groups = text.split(':');
  for (const [n, group] of groups.entries()) {
    if (n === groups.length - 1 && group.includes('.')) {
      const ipv4 = parseIpv4(group);
      if (ipv4 === null) return null;
      bytes.push(...ipv4);
    } else if (/^[0-9A-Fa-f]{1,4}$/.test(group)) {
      const value = parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    } else {
      return null;
    }
  }
  return Buffer.from(bytes);
}

// The bytes of an address, or null if the text is none; a zone (`%eth0`) is none, for it names an interface of ours.
function parseAddress(text) {
  if (!text.includes(':')) return parseIpv4(text);
  const sides = text.split('::');
  if (sides.length > 2) return null;
  const [left, right] = [parseGroups(sides[0]), parseGroups(sides[1] ?? '')];
  if (left === null || right === null) return null;
  // A dotted part stands at the end of an address only.
  if (sides.length === 2 && sides[0].includes('.')) return null;
  const gap = 16 - left.length - right.length;
  if (sides.length === 1 ? gap !== 0 : gap < 2) return null;
  return Buffer.concat([left, Buffer.alloc(gap), right]);
}

function formatAddress(bytes) {
  if (bytes.length === 4) return [...bytes].join('.');
  const groups = [];
  for (let at = 0; at < 16; at += 2) groups.push(bytes.readUInt16BE(at).toString(16));
  return groups.join(':');
}

function parseNetwork(text) {
  const slash = text.indexOf('/');
  const bytes = slash < 0 ? null : parseAddress(text.slice(0, slash));
  const prefix = text.slice(slash + 1);
  if (bytes === null || !/^(0|[1-9][0-9]{0,2})$/.test(prefix) || Number(prefix) > bytes.length * 8) {
    throw new Error(`${text} is not a network like 192.0.2.0/24`);
  }
  const network = { bytes, prefix: Number(prefix) };
  for (let bit = network.prefix; bit < bytes.length * 8; bit += 1) {
    if ((bytes[bit >> 3] & (0x80 >> (bit & 7))) !== 0) throw new Error(`${text} has bits behind its prefix`);
  }
  return network;
}

function contains(network, address) {
  if (network.bytes.length !== address.length) return false;
  const whole = network.prefix >> 3;
  if (!network.bytes.subarray(0, whole).equals(address.subarray(0, whole))) return false;
  const rest = network.prefix & 7;
  return rest === 0 || (network.bytes[whole] ^ address[whole]) >> (8 - rest) === 0;
}

// Why an address must not be dialled, or null if it may be.
function forbiddenClass(address, networks) {
  if (networks.some((network) => contains(network, address))) return null;
  const found = CLASSES.find(({ network }) => contains(network, address));
  if (found !== undefined) return found.name;
  return address.length === 16 && !contains(GLOBAL_UNICAST, address) ? 'reserved' : null;
}

module.exports = { parseAddress, formatAddress, parseNetwork, contains, forbiddenClass };
