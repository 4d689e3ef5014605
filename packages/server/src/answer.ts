/**
 * What the server answers by plain HTTP: the files of a built app, with its page for every path that names no file, and `/health`.
 * Files are listed once, at the start: a request names one of them or nothing. Channels are not here; they are upgrades.
 */
import { statSync } from 'node:fs'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { resolve } from 'node:path'
import { WeftError } from '@weft-db/engine'
import sirv from 'sirv'

/** Styles may stand in the page (editors write them so); scripts come from files alone, and channels go to this server alone. */
const policy = [
  "default-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

const headers = {
  'Content-Security-Policy': policy,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
}

/** Names that bundlers give files by their content, such as `index-DrLcdShT.js`: a name never means other bytes. */
const hashed = /^\/assets\/.*[-.][\w-]{8,}\.\w+$/

/** Throws `NoApp` when `folder` is given and holds no page. */
export const answer = (options: {
  folder: string | undefined
  health: () => { problem: unknown }
}): RequestListener => {
  const { folder, health } = options
  const files = folder === undefined ? undefined : filesOf(resolve(folder))
  return (request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD')
      return end(request, response, 405, 'text/plain', 'This server answers GET and HEAD.\n')
    }
    const [path] = (request.url ?? '/').split('?')
    if (path === '/health') {
      const state = health()
      response.setHeader('Cache-Control', 'no-store')
      return end(
        request,
        response,
        state.problem === null ? 200 : 503,
        'application/json',
        `${JSON.stringify(state)}\n`,
      )
    }
    const missing = (): void => end(request, response, 404, 'text/plain', 'There is nothing here.\n')
    if (files === undefined) missing()
    else files(request, response, missing)
  }
}

const filesOf = (folder: string): ReturnType<typeof sirv> => {
  if (statSync(`${folder}/index.html`, { throwIfNoEntry: false })?.isFile() !== true)
    throw new WeftError('NoApp', folder)
  return sirv(folder, {
    single: true,
    etag: true,
    setHeaders: (response, path) => {
      response.setHeader('Cache-Control', hashed.test(path) ? 'public, max-age=31536000, immutable' : 'no-cache')
    },
  })
}

const end = (request: IncomingMessage, response: ServerResponse, status: number, type: string, body: string): void => {
  response.writeHead(status, { 'Content-Type': `${type}; charset=utf-8`, 'Content-Length': Buffer.byteLength(body) })
  response.end(request.method === 'HEAD' ? undefined : body)
}
