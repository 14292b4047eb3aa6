// Manages a zone with Cloudflare's own client for JavaScript, whose base URL leads to tacit, as main.go does with that for Go.
import Cloudflare from 'cloudflare';

const [url, token, name] = process.argv.slice(2);
const client = new Cloudflare({ baseURL: url, apiToken: token, maxRetries: 0, timeout: 10_000 });

function check(ok, what) {
  if (!ok) throw new Error(what);
}

const address = (host, content, proxied) => ({ name: `${host}.${name}`, type: 'A', content, ttl: 1, proxied });

let zone;
const steps = {
  async zones() {
    for await (const z of client.zones.list({ name })) zone = z.id;
    check(zone, 'no zone');
  },
  async list() {
    let count = 0;
    for await (const r of client.dns.records.list({ zone_id: zone, per_page: 2 })) count += r.id ? 1 : 0;
    check(count > 0, 'the zone is empty');
  },
  async records() {
    const made = await client.dns.records.create({ zone_id: zone, ...address('one', '192.0.2.10', true) });
    const edited = await client.dns.records.edit(made.id, { zone_id: zone, ...address('one', '192.0.2.11', true) });
    const updated = await client.dns.records.update(made.id, { zone_id: zone, ...address('one', '192.0.2.12', false) });
    check(edited.content === '192.0.2.11' && edited.proxied && updated.id === made.id, 'edit or update');
    const got = await client.dns.records.get(made.id, { zone_id: zone });
    check(got.content === '192.0.2.12' && !got.proxied, 'get');
    await client.dns.records.delete(made.id, { zone_id: zone });
  },
  async batch() {
    const made = await client.dns.records.batch({ zone_id: zone, posts: [address('js-gone', '192.0.2.40', false), address('js', '192.0.2.41', false)] });
    const [gone, stays] = made.posts.map((r) => r.id);
    await client.dns.records.batch({
      zone_id: zone,
      deletes: [{ id: gone }],
      patches: [{ id: stays, ...address('js', '192.0.2.42', true) }],
      posts: [address('js-post', '192.0.2.43', false)],
    });
  },
  async import() {
    const file = `js-in.${name}. 1 IN A 192.0.2.44\n`;
    const r = await client.dns.records.import({ zone_id: zone, file, proxied: 'true' });
    check(r.recs_added === 1, JSON.stringify(r));
  },
  async export() {
    const text = await client.dns.records.export({ zone_id: zone });
    check(text.includes(`js.${name}.\t1\tIN\tA\t192.0.2.42 ; cf_tags=cf-proxied:true\n`), text);
  },
};

for (const [step, run] of Object.entries(steps)) {
  await run();
  console.log('ok', step);
}
