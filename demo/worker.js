/**
 * The service worker: keeps the app itself on the device, so that a reload works while the server is away. The build fills in which
 * files and their version; data never passes through here.
 */
const cacheName = 'board-%VERSION%'
const files = JSON.parse('%FILES%')

const fill = async () => {
  const cache = await caches.open(cacheName)
  await cache.addAll(files)
  await self.skipWaiting()
}

const takeOver = async () => {
  for (const name of await caches.keys()) if (name.startsWith('board-') && name !== cacheName) await caches.delete(name)
  await self.clients.claim()
}

/** The newest page when there is a server, else the one kept here. */
const page = async (request) => {
  try {
    return await fetch(request)
  } catch {
    // No server: the app starts from what is kept.
    return (await caches.match('/', { cacheName })) ?? Response.error()
  }
}

const asset = async (request) => (await caches.match(request, { cacheName })) ?? fetch(request)

self.addEventListener('install', (event) => event.waitUntil(fill()))
self.addEventListener('activate', (event) => event.waitUntil(takeOver()))
self.addEventListener('fetch', (event) => {
  const { request } = event
  const url = new URL(request.url)
  if (request.method !== 'GET' || url.origin !== self.location.origin) return
  if (request.mode === 'navigate') event.respondWith(page(request))
  else if (files.includes(url.pathname)) event.respondWith(asset(request))
})
