/**
 * Who shares a limit. One IPv4 address is one peer; of an IPv6 address the first 64 bits are, since a household or a rented server is
 * given all addresses below them.
 */
import { isIP, isIPv6 } from 'node:net'

export const networkOf = (address: string): string => {
  if (!isIPv6(address)) return address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined) return mapped
  const [left = '', right] = (address.split('%')[0] ?? '').toLowerCase().split('::')
  const before = left === '' ? [] : left.split(':')
  const after = right === undefined || right === '' ? [] : right.split(':')
  const groups =
    right === undefined
      ? before
      : [...before, ...Array<string>(Math.max(0, 8 - before.length - after.length)).fill('0'), ...after]
  const prefix = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16))
  return `${prefix.join(':')}::/64`
}

/**
 * The address behind so many proxies of one's own: each appends whom it heard to `X-Forwarded-For`, so the last entries are true and what
 * stands further left is what a client claims. `peer` is the socket's address. A header too short for that many proxies came past them:
 * then the socket's address counts, and so it does for an entry that is no address.
 */
export const forwardedFor = (peer: string, header: string | undefined, proxies: number): string => {
  if (proxies === 0 || header === undefined) return peer
  const entry = header.split(',').at(-proxies)?.trim() ?? ''
  return isIP(entry) === 0 ? peer : entry
}
