/** Listening on a port, and what an operator is told when that cannot be. */
import type { Server } from 'node:http'
import { isIPv6 } from 'node:net'
import { WeftError } from '@weft-db/engine'

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use',
  EACCES: 'needs more rights',
  EADDRNOTAVAIL: 'is no address of this machine',
  ENOTFOUND: 'is no address of this machine',
}

/** Resolves when the port listens. Rejects with `CannotListen`. */
export const listen = (http: Server, port: number, host: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const failed = (error: Error): void => {
      const code = 'code' in error ? String(error.code) : ''
      reject(
        new WeftError('CannotListen', `port ${port} of ${host} ${reasons[code] ?? error.message}`, { cause: error }),
      )
    }
    http.once('error', failed)
    http.listen(port, host, () => {
      http.off('error', failed)
      resolve()
    })
  })

/** Browsers sign only for pages that came by https or from localhost, so a server of this machine alone is named so. */
export const urlOf = (host: string, port: number): string => {
  const local = host === '' || host === '0.0.0.0' || host === '::' || host === '::1' || host.startsWith('127.')
  return `http://${local ? 'localhost' : isIPv6(host) ? `[${host}]` : host}:${port}`
}
