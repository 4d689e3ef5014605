/**
 * Keeps the page itself on the device, so that a reload works while the server is away. The server's page wins whenever it answers;
 * what the page is made of has its content in its name and is taken from the device first.
 */
const shell = 'weft-demo-shell'

/** Keeps the page and everything it names, and lets go of what an older page named. */
const keep = async () => {
  const page = await fetch('/', { cache: 'no-cache' })
  if (!page.ok) throw new Error(`the page cannot be kept: ${page.status}`)
  const parts = [...(await page.clone().text()).matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path]) => path)
  const cache = await caches.open(shell)
  const missing = []
  for (const part of parts) if ((await cache.match(part)) === undefined) missing.push(part)
  await cache.addAll(missing)
  await cache.put('/', page)
  for (const { url } of await cache.keys()) {
    const { pathname } = new URL(url)
    if (pathname !== '/' && !parts.includes(pathname)) await cache.delete(url)
  }
}

const openPage = async (event) => {
  try {
    const page = await fetch(event.request)
    event.waitUntil(keep().catch(() => undefined))
    return page
  } catch (problem) {
    const kept = await caches.match('/')
    if (kept === undefined) throw problem
    return kept
  }
}

addEventListener('install', (event) => event.waitUntil(keep().then(() => skipWaiting())))
addEventListener('activate', (event) => event.waitUntil(clients.claim()))
addEventListener('fetch', (event) => {
  const { method, mode, url } = event.request
  const { origin, pathname } = new URL(url)
  if (method !== 'GET' || origin !== location.origin) return
  if (mode === 'navigate' && pathname === '/') event.respondWith(openPage(event))
  else if (pathname.startsWith('/assets/') || pathname === '/icon.svg') {
    event.respondWith(caches.match(event.request).then((kept) => kept ?? fetch(event.request)))
  }
})
