/** What a channel asks of its replica, joined from the parts that answer. */
import { type Refusal, refusal } from '../bytes/refusal.ts'
import type { Account } from './account.ts'
import type { Channels } from './channels.ts'
import type { Connection, Switchboard } from './connection.ts'
import type { Meeting } from './meeting.ts'
import type { Office } from './office.ts'
import type { Readers } from './readers.ts'
import type { Repositories } from './repositories.ts'
import type { Standing } from './standing.ts'
import type { Subscribing } from './subscribing.ts'

export interface SwitchboardParts
  extends Pick<Switchboard, 'runtime' | 'clock' | 'root' | 'certificates' | 'sync' | 'takeRoot'> {
  readonly account: Account
  /** The authority's. */
  readonly office: Office | undefined
  readonly readers: Readers
  readonly repositories: Repositories
  readonly subscribing: Subscribing
  readonly meeting: Meeting
  readonly channels: Channels
  readonly standing: Standing
  isClosing(): boolean
  proved(connection: Connection): void
  incident(why: Refusal): void
}

/** For one channel: it proves itself with the key and certificate of the moment. Throws before the store is open. */
export const switchboardOf = (parts: SwitchboardParts): Switchboard => {
  const { runtime, clock, root, certificates, sync, account, office, readers, repositories } = parts
  const { subscribing, meeting, channels, standing } = parts
  const { key, certificate } = account
  if (key === undefined) throw new Error('channels are made after the store is open')
  return {
    runtime,
    clock,
    root,
    certificates,
    proof: { key, certificate: certificate?.bytes ?? null },
    sync,
    takeRoot: (entries, publicKey) => parts.takeRoot(entries, publicKey),
    proved: (connection) => {
      standing.freshness.look()
      parts.proved(connection)
    },
    quota: office?.quota,
    login: async (method, credentials, peer, channel) =>
      office?.certifying.judge(method, credentials, peer, channel) ?? refusal('NotAuthority', method),
    certified: (bytes) => account.certified(bytes),
    sessions: account.sessions,
    candidate: (path, peer) => readers.candidate(path, peer),
    shown: (repository, position) => office?.recovery.shown(repository, position),
    turn: async (connection, repository) => office?.recovery.turn(connection, repository),
    mayRead: (repository, peer) => readers.mayRead(repository, peer),
    isRevoked: (peer) => peer.certificate !== undefined && root.revokedAt(peer.certificate) !== undefined,
    farewell: (repository, peer, held) => readers.farewell(repository, peer, held),
    parted: async (path, entries) => repositories.get(path)?.parted(entries),
    welcomed: (connection, path) => {
      const repository = repositories.get(path)
      if (repository === undefined) return
      standing.settled(path, true)
      subscribing.to(repository, connection)
    },
    request: async (method, args, peer) =>
      office?.registrar.request(method, args, peer.certificate) ?? refusal('NotAuthority', method),
    held: (repository) => repositories.held(repository),
    refused: (connection, why, about) => subscribing.refused(connection, why, about),
    incident: (why) => parts.incident(why),
    meshed: (connection, frame) => meeting.heard(connection, frame),
    gossips: meeting.gossiping,
    level: (connection, reconciler) => {
      const { repository } = reconciler
      meeting.level(connection, reconciler)
      if (connection.peer?.isAuthority === true) {
        repository.synced = true
        repository.bar(undefined)
        standing.settled(repository.path)
      }
      standing.tell()
    },
    left: (repository, peer) => {
      if (office !== undefined || peer?.isSelf === true) repositories.left(repository)
    },
    closed: (connection) => {
      channels.closed(connection)
      account.closed(connection)
      meeting.closed(connection)
      standing.freshness.look()
      if (!parts.isClosing() && !channels.isOnline) standing.connect('offline')
    },
  }
}
