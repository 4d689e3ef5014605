/**
 * The STUN and TURN servers that members of the mesh are told of. Credentials of a TURN server hold for a short time and for one session: the
 * user name is the second at which they expire and the session, the password its HMAC-SHA1 under a secret that both servers have, base64
 * (draft-uberti-behave-turn-rest-00, which coturn calls `use-auth-secret`).
 */
import { createHmac } from 'node:crypto'
import { type IceServer, WeftError } from '@weft-db/engine'

export interface IceOptions {
  /** `stun:host:port` */
  readonly stun?: readonly string[]
  /** `turn:host:port?transport=udp`, `turns:host:port` */
  readonly turn?: {
    readonly urls: readonly string[]
    /** coturn's `static-auth-secret`. */
    readonly secret: string
    /** How long credentials hold, ms; an hour unless told. */
    readonly life?: number
  }
}

const hour = 3_600_000

/** Names the servers for a session, with fresh credentials. Throws `BadIceServer` for what is no address of one. */
export const iceServers = (
  { stun = [], turn }: IceOptions,
  now: () => number,
): ((session: string) => readonly IceServer[]) => {
  for (const url of stun) if (!/^stuns?:[^\s?]+$/.test(url)) throw new WeftError('BadIceServer', url)
  for (const url of turn?.urls ?? []) if (!/^turns?:[^\s]+$/.test(url)) throw new WeftError('BadIceServer', url)
  if (turn !== undefined && turn.secret === '') throw new WeftError('BadIceServer', 'the secret is empty')
  return (session) => {
    const servers: IceServer[] = stun.length > 0 ? [{ urls: stun }] : []
    if (turn === undefined) return servers
    const username = `${Math.floor((now() + (turn.life ?? hour)) / 1_000)}:${session.slice(0, 16)}`
    const credential = createHmac('sha1', turn.secret).update(username).digest('base64')
    return [...servers, { urls: turn.urls, username, credential }]
  }
}
