/**
 * The error catalogue: every refusal has a code, a sentence that says what happened, and a remedy that says what to do. Expected
 * refusals travel as values (`Refusal`); `WeftError` is thrown at an app that asked for something that cannot be.
 */
export const catalogue = {
  // bytes
  TooLarge: ['The bytes are larger than the limit allows.', 'Split the change or send less at once.'],
  TooDeep: ['The bytes nest deeper than the limit allows.', 'Flatten the value.'],
  NotCanonical: [
    'The bytes are not in the canonical encoding.',
    'Encode with the deterministic rules of docs/wire-format.md.',
  ],
  Malformed: ['The bytes do not have the shape their kind asks for.', 'Check the sender against docs/wire-format.md.'],
  // commits
  UnknownFormat: ['The commit names a format version this replica does not know.', 'Update the app on this device.'],
  WrongNetwork: [
    'The bytes belong to another network.',
    'Connect to the server this store was made with, or open another store.',
  ],
  WrongRepository: ['The bytes belong to another repository.', 'Send them where they belong.'],
  BadHash: ['A part does not match the hash its header names.', 'Fetch the commit again from another peer.'],
  BadSignature: [
    'The signature does not fit the session that the bytes name.',
    'Fetch the commit again from another peer.',
  ],
  BrokenChain: [
    'The commit does not follow the one before it in its chain.',
    'Send the chain from where this replica stands.',
  ],
  ChainForked: [
    'One chain goes on in two ways: its session key was copied.',
    'Log out on the devices that share a profile and log in anew.',
  ],
  MissingParents: ['The commit builds on commits that this replica does not hold.', 'Send the parents first.'],
  BadParents: [
    'The parents are not changes of the same item, or are named twice or out of order.',
    'Name the heads of the item.',
  ],
  ClockNotLater: [
    'The clock is not later than the clocks the commit builds on.',
    'Take the clock from the replica, not from the device.',
  ],
  NotErased: [
    'The commit comes without content that the authority did not erase.',
    'Fetch the whole commit from another peer.',
  ],
  HistoryDropped: [
    'This is about history that this device dropped, since it is older than the offline window.',
    'It is merged once the history came from the server again: connect to it.',
  ],
  PolicyBack: ['The commit cites an older policy than the commits it builds on.', 'Cite the newest policy known.'],
  UnknownSession: [
    'No certificate is known for the session that signed.',
    'Log in, and send the certificate before the commits.',
  ],
  BadCertificate: ["The certificate is not one this network's authority issued for that session.", 'Log in again.'],
  CertificateExpired: ['The certificate has expired.', 'Log in again; what you wrote is kept.'],
  // counting
  UnknownSchema: [
    'The change is written for a schema this replica does not know.',
    'Add the schema, or update the app.',
  ],
  ClockAhead: [
    'The clock of the change is ahead of the time.',
    'It counts when that time has come; check the clock of the device that wrote it.',
  ],
  Inapplicable: ['The change cannot be applied to the value it names.', 'Nothing: the item goes on without it.'],
  Receipted: ['A checkpoint covers the commit: the authority keeps it.', 'Correct it by a new commit.'],
  Voided: ['The authority voided the change.', 'See the rule and the reason; write it again if you may.'],
  // field values
  BadValue: ['The value does not fit its field.', "See the field's definition in the schema."],
  // storage
  DiskFull: ['There is no room left to store this.', 'Free space; it is tried again by itself.'],
  DiskError: ['The disk did not store this.', 'Check the disk; it is tried again by itself.'],
  AlreadyOpen: ['Another process or tab has this store open.', 'Close it, or open another store.'],
  LogCorrupt: ['The log is damaged in the middle.', 'Keep the file; the missing commits are fetched from peers.'],
  NoStorage: [
    'There is no storage on this device that lasts.',
    'Leave this page open until the changes are saved by the server.',
  ],
  // a server's start
  NotWritable: ['The folder cannot be used.', 'Give this user the right to write there, or choose another folder.'],
  CannotListen: ['The server cannot listen there.', 'Stop what listens there, or choose another port or host.'],
  NoApp: ['The folder holds no index.html.', 'Build the app first, or name the folder it was built into.'],
  // the session's key
  KeyExposed: [
    'Other users of this machine can read the private key.',
    'Run that command; make a new key if somebody may have read this one.',
  ],
  BadKey: ['The file does not hold a P-256 private key in PKCS#8 PEM.', 'Put the right file back.'],
  SigningFailed: ['The session key could not sign.', 'It is tried again by itself; log in anew if that does not help.'],
  KeyMissing: [
    'The key file is gone, and without it nothing can follow the logs that exist.',
    'Put it back; or move the data folder away to found a new network.',
  ],
  WrongKey: [
    "The key is not the one this store's network was founded with.",
    'Put the right key file back, or serve the data folder that belongs to it.',
  ],
  InsecurePage: [
    'The browser offers no signatures to a page that came by plain http.',
    'Open it by https, or as localhost.',
  ],
  // trust
  LogForked: ['The authority signed two entries for one place.', 'Keep the evidence and tell the operator.'],
  BadEntry: ["The entry does not follow the authority's log.", 'Fetch the log again from the authority.'],
  Recovering: [
    'The server lost something of what it stored, and is taking it back from whoever holds it.',
    'Go on working, and leave this open: nothing is acknowledged until the server has caught up.',
  ],
  EpochLost: [
    'The last entries of the server are lost with its disk, and a new epoch began without them.',
    'Nothing for commits: they are judged and acknowledged anew. Give again what rights were given last.',
  ],
  BadProof: ['The peer did not prove that it holds its session key.', 'Connect again.'],
  LoginRefused: ['The server did not accept the login.', 'Check what you entered and try again.'],
  MailSent: [
    'A mail with a link is on its way.',
    'Open the link in it; look among the unwanted mail if it does not come.',
  ],
  NotAllowed: ['The rules do not allow this.', 'Ask someone who may, or use an account that may.'],
  NoRule: ['No rule allows this to anybody.', 'Add a rule whose template fits the path.'],
  RuleThrew: ['A rule failed and so denied.', 'Mend the rule: it answers at once, and does not throw.'],
  RuleNotPure: [
    'A rule answered twice in different ways.',
    'A rule looks at its argument and at nothing else: no clock, no store, no randomness.',
  ],
  UnknownRules: ['The change is judged by a version of the rules this replica does not have.', 'Update the app.'],
  Revoked: ['The access of that session or account was ended.', 'Ask whoever runs the server.'],
  RevokedBeforeSync: [
    'Access ended before this reached the server, so it does not count.',
    'What was written is kept in the rejections: export it, and ask someone who may to enter it.',
  ],
  Undecided: [
    'Access was ended, and the server has not said yet what of this still counts.',
    'Wait for the server: it decides when it is reached.',
  ],
  NotFounder: [
    'Somebody else founded this repository first.',
    'What was written is kept in the rejections: export it, or use another name.',
  ],
  BranchLost: [
    'The chain went on in two ways, and the server counts the other one.',
    'Log out on the devices that share a profile and log in anew.',
  ],
  InvitationOver: ['The invitation is used up, withdrawn, expired, or not meant for this.', 'Ask for a new one.'],
  Unreachable: ['The server is not connected, and this needs it.', 'Try again when the status says online.'],
  Unsynced: [
    'Some of what was written here is not at the server yet.',
    'Wait until it is, or say that it may be thrown away.',
  ],
  LogOutFirst: [
    'This device holds what another account has and wrote here.',
    'Log out first, with db.logout(), and then log in again.',
  ],
  Superseded: ['A later request took the place of this one.', 'Nothing needs to be done.'],
  NotAuthority: ['Only the authority does this.', 'Ask the server.'],
  // mesh
  BadSignal: [
    'A signal to make a channel was not made by the session it names.',
    'Nothing: it was dropped, and no channel was made.',
  ],
  WrongPeer: [
    'The channel leads to somebody else than the session it was made for.',
    'Nothing: it was closed before anything was said; if it happens again, whoever carries the signals alters them.',
  ],
  Withheld: [
    'The peer says that it has commits, and does not send them.',
    'Nothing: they are fetched from others, and the peer is left alone for a while.',
  ],
  // channel
  Gap: ['Messages are missing on this channel.', 'The channel is closed and opened again.'],
  UnknownMessage: [
    'The message is of a kind that is not known or does not belong here.',
    'Update the older of the two sides.',
  ],
  TooMany: ['A limit on how many was reached.', 'Wait, or ask for less at once.'],
  TooFast: ['More came at once than one user or address may send.', 'Nothing: it is kept, and tried again by itself.'],
  TooManyRepositories: [
    'One user made too many repositories in a short time.',
    'Wait; what you wrote is kept and tried again by itself.',
  ],
  Silent: ['The peer has not been heard for too long.', 'The channel is closed and opened again.'],
  UnknownRepository: ['There is no such repository, or you may not read it.', 'Check the path and your rights.'],
  Fault: ['The program failed at this.', 'Report it, with what the incident says.'],
  // an audit, and evidence of forks
  LogMissing: [
    'There is no root log, so that no signature can be checked.',
    'Name the folder that a server or an app stores in; if this is the one, bring the file back from a copy.',
  ],
  TornTail: [
    'The file ends within a frame.',
    'After a crash that is normal: start the program that owns the folder, which keeps the tail aside. Else bring the file back from a copy.',
  ],
  WrongName: ['The file has not the name that goes with what it holds.', 'Bring the folder back from a copy.'],
  Repeated: ['The same stands in the log twice.', 'Bring the file back from a copy.'],
  MissingCommit: [
    "The authority's log names a commit that is not here.",
    'Bring the file back from a copy, or let a replica connect that holds the commit.',
  ],
  ErasedContent: [
    'Content is here that the authority erased.',
    'Start the replica once: it finishes the erasure. Remove copies of the folder that are older.',
  ],
  HistoryLost: ['What an earlier report saw is not there any more.', 'Bring the folder back from a copy.'],
  BackupAhead: [
    'The backup holds what the store does not have any more.',
    'Repair or restore the store from it, or back up to another folder.',
  ],
  BackupCorrupt: [
    'The backup is not what was written.',
    'Back up to another folder, or restore what is left of this one with --damaged.',
  ],
  SnapshotWrong: [
    'A snapshot does not say what its log says.',
    'Remove it, or let weft verify --repair do that: it is a cache, and nothing is lost with it.',
  ],
  LoggingOut: ['Somebody logs out of this store.', 'Start the app once, which ends that, and back up then.'],
  NoBackup: ['There is no backup there.', 'Name a folder that weft backup wrote to the end.'],
  NotEmpty: ['There is something else in the folder.', 'Move it away, or name another folder.'],
  StrayFile: ['Nothing of this store has such a name, so it was not checked.', 'Move the file elsewhere.'],
  EvidenceKept: [
    'Two things were signed for one place; a file keeps the proof.',
    'Run weft evidence on the file, and show it to whoever runs the server.',
  ],
  NumberTwice: [
    'Two certificates of one account bear the same number.',
    'Only the authority can have made both: keep the evidence, and end the session that its owner does not know.',
  ],
  NotEvidence: ['The file does not prove a fork.', 'Ask for the file again from whoever keeps it.'],
  // use of the API
  BadItemKey: [
    'The key cannot name an item here.',
    'Use 1 to 256 bytes of UTF-8, and in one transaction a key for one item only.',
  ],
  NotReady: [
    'Nothing can be committed yet.',
    'Await the ready of the repository and the login, or edit without a transaction: that is kept until then.',
  ],
  ListenerThrew: ['A listener of the app threw.', 'Look at the error that is named; the other listeners were told.'],
  BadPath: ["The path is not a repository's.", 'Use /type/name, for example /board/roadmap.'],
  BadIceServer: [
    'That is no STUN or TURN server.',
    'Give stun:host:port, or turn:host:port and the secret it shares with this server.',
  ],
  BadSchema: ['The schema cannot be used.', 'See the reason given.'],
  ItemDeleted: ['The item is deleted.', 'Restore it first: repository.restore(item).'],
  Closed: ['The database is closed.', 'Open it again.'],
} as const satisfies Record<string, readonly [sentence: string, remedy: string]>

export type Code = keyof typeof catalogue

/** An expected refusal, as a value. `about` names what was refused: a commit id, a field, a path, a limit. */
export interface Refusal {
  readonly code: Code
  readonly about: string
  /** The template of the rule that denied. */
  readonly rule?: string
  /** What that rule says to a person. */
  readonly reason?: string
}

export const refusal = (code: Code, about = ''): Refusal => ({ code, about })

/** What happened, to what, and what to do. */
export const describeRefusal = ({ code, about, reason }: Refusal): string => {
  if (reason !== undefined) return reason
  const [sentence, remedy] = catalogue[code]
  return `${sentence}${about ? ` (${about})` : ''} ${remedy}`
}

/** Thrown for what an app asked and cannot have. The message holds the sentence, what it is about, and the remedy. */
export class WeftError extends Error {
  readonly code: Code
  readonly about: string
  /** The template of the rule that denied, where a rule did. */
  readonly rule: string | undefined
  /** What that rule says to a person. */
  readonly reason: string | undefined

  constructor(code: Code, about = '', options?: { cause?: unknown; rule?: string; reason?: string }) {
    const { rule, reason } = options ?? {}
    super(describeRefusal({ code, about, ...(reason !== undefined && { reason }) }), options)
    this.name = 'WeftError'
    this.code = code
    this.about = about
    this.rule = rule
    this.reason = reason
  }

  static of(why: Refusal): WeftError {
    return new WeftError(why.code, why.about, why)
  }
}

/** What the Files port rejects with. */
export class StorageError extends WeftError {
  declare readonly code: 'DiskFull' | 'DiskError' | 'AlreadyOpen'

  constructor(code: 'DiskFull' | 'DiskError' | 'AlreadyOpen', about = '', options?: { cause?: unknown }) {
    super(code, about, options)
    this.name = 'StorageError'
  }
}

export const isRefusal = (value: unknown): value is Refusal =>
  typeof value === 'object' && value !== null && 'code' in value && 'about' in value
