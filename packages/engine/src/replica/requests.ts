/**
 * What a session asks of the authority beyond commits: to give and take roles, to invite, to come by an invitation, to end the access of a
 * session, to erase. The authority judges each by the rules as they stand when it writes, and answers once what it wrote is durable.
 *
 *     grant  = [path, owner, role | null, fences]
 *     invite = [path, SHA-256 of the secret (32 bytes), role, expires (ms since 1970), uses]      uses 0 withdraws
 *     join   = [path, secret (16 to 64 bytes)]
 *     revoke = [session id (32 bytes), reason]                one of the asker's own sessions
 *     erase  = [path, [[commit id, item key], ...], reason]
 */
import { fromHex, toHex, utf8Length } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import type { Plain } from '../bytes/plain.ts'
import { type Refusal, refusal, WeftError } from '../bytes/refusal.ts'
import type { Subject } from '../trust/entry.ts'
import { isRepositoryPath } from '../trust/rules.ts'

export type Request =
  | {
      readonly method: 'grant'
      readonly path: string
      readonly owner: string
      readonly role: string | null
      readonly fences: boolean
    }
  | {
      readonly method: 'invite'
      readonly path: string
      readonly secret: string
      readonly role: string
      readonly expires: number
      readonly uses: number
    }
  | { readonly method: 'join'; readonly path: string; readonly secret: Uint8Array }
  | { readonly method: 'revoke'; readonly session: string; readonly reason: string }
  | {
      readonly method: 'erase'
      readonly path: string
      readonly changes: readonly { readonly commit: string; readonly key: string }[]
      readonly reason: string
    }

/** Throws `BadPath`, and `InvitationOver` for what is no code of an invitation. */
export const joinRequest = (path: string, code: string): Request => {
  if (!isRepositoryPath(path)) throw new WeftError('BadPath', path)
  if (!/^(?:[0-9a-f]{2}){16,64}$/.test(code)) throw new WeftError('InvitationOver', path)
  return { method: 'join', path, secret: fromHex(code) }
}

/** Throws `NotAuthority`: only the authority ends all sessions of an owner. */
export const revokeRequest = (subject: Subject, reason: string): Request => {
  if (!('session' in subject)) throw new WeftError('NotAuthority', `revoke ${subject.owner}`)
  return { method: 'revoke', session: subject.session, reason }
}

export const encodeRequest = (request: Request): Plain => {
  switch (request.method) {
    case 'grant':
      return [request.path, request.owner, request.role, request.fences]
    case 'invite':
      return [request.path, fromHex(request.secret), request.role, request.expires, request.uses]
    case 'join':
      return [request.path, request.secret]
    case 'revoke':
      return [fromHex(request.session), request.reason]
    case 'erase':
      return [request.path, request.changes.map(({ commit, key }) => [fromHex(commit), key]), request.reason]
  }
}

const isText = (value: Plain | undefined): value is string =>
  typeof value === 'string' && utf8Length(value) <= limits.nameBytes
const isName = (value: Plain | undefined): value is string => isText(value) && value !== ''
const isPath = (value: Plain | undefined): value is string => typeof value === 'string' && isRepositoryPath(value)
const isHash = (value: Plain | undefined): value is Uint8Array => value instanceof Uint8Array && value.length === 32
const isCount = (value: Plain | undefined, most: number): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= most

const shortestSecret = 16
const longestSecret = 64

const readers: Readonly<Record<string, (list: readonly Plain[]) => Request | undefined>> = {
  grant: ([path, owner, role, fences, ...rest]) =>
    isPath(path) && isName(owner) && (role === null || isName(role)) && typeof fences === 'boolean' && !rest.length
      ? { method: 'grant', path, owner, role, fences }
      : undefined,
  invite: ([path, secret, role, expires, uses, ...rest]) =>
    isPath(path) &&
    isHash(secret) &&
    isName(role) &&
    isCount(expires, Number.MAX_SAFE_INTEGER) &&
    isCount(uses, 0xffff_ffff) &&
    rest.length === 0
      ? { method: 'invite', path, secret: toHex(secret), role, expires, uses }
      : undefined,
  join: ([path, secret, ...rest]) =>
    isPath(path) &&
    secret instanceof Uint8Array &&
    secret.length >= shortestSecret &&
    secret.length <= longestSecret &&
    rest.length === 0
      ? { method: 'join', path, secret }
      : undefined,
  revoke: ([session, reason, ...rest]) =>
    isHash(session) && isText(reason) && rest.length === 0
      ? { method: 'revoke', session: toHex(session), reason }
      : undefined,
  erase: ([path, named, reason, ...rest]) => {
    if (!isPath(path) || !Array.isArray(named) || named.length === 0 || named.length > limits.changes) return undefined
    if (!isText(reason) || rest.length > 0) return undefined
    const changes: { commit: string; key: string }[] = []
    for (const one of named as readonly Plain[]) {
      if (!Array.isArray(one) || one.length !== 2) return undefined
      const [commit, key] = one as readonly Plain[]
      if (!isHash(commit) || !isName(key)) return undefined
      changes.push({ commit: toHex(commit), key })
    }
    return { method: 'erase', path, changes, reason }
  },
}

export const decodeRequest = (method: string, args: Plain): Request | Refusal => {
  const reader = Object.hasOwn(readers, method) ? readers[method] : undefined
  if (reader === undefined) return refusal('UnknownMessage', method)
  const request = Array.isArray(args) ? reader(args as readonly Plain[]) : undefined
  return request ?? refusal('Malformed', method)
}
