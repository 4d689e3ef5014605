/**
 * Every limit that a stranger's bytes can meet. They are constants of format version 1: two replicas with other limits would
 * part for ever, so changing one that decides admission or counting is a new format version.
 */
export const limits = {
  /** One frame on a channel, bytes. */
  frameBytes: 1_048_576,
  /** A commit's header and changes together, bytes. */
  commitBytes: 262_144,
  /** One text, set or map of an item: UTF-16 units of its text, strings and keys, and 8 for each element or entry. */
  itemBytes: 1_048_576,
  /** Parents of a change. More heads than this are joined by empty changes first. */
  parents: 16,
  /** Changes in a commit. */
  changes: 1_000,
  /** Commits under one signature, and the bytes of their records where they are more than one. */
  runCommits: 64,
  runBytes: 524_288,
  /** Operations in a change. */
  operations: 16_384,
  /** Nesting of CBOR arrays and maps. */
  depth: 32,
  /** CBOR items in one message or part. */
  nodes: 65_536,
  /** Names, keys, paths, roles: bytes of UTF-8. */
  nameBytes: 256,
  /** A fractional order key, characters. */
  orderLength: 256,
  /** Commits that wait for their parents, per repository and peer. */
  pendingCommits: 1_000,
  /** Their bytes. */
  pendingBytes: 4_194_304,
  /** Changes held because something is not known yet, per repository. */
  heldChanges: 10_000,
  /** A replica among peers alone that heard nothing newer of the authority for so long says so, within twice that, ms. */
  authorityStale: 300_000,
  /** A clock this far ahead of authority-corrected time holds a change, ms. */
  clockAhead: 300_000,
  /** Bits of a Bloom filter, and hashes per element. */
  filterBits: 2_097_152,
  filterHashes: 16,
  /** Heads named in one message, and ids in one locator. */
  headsPerMessage: 8_192,
  locatorIds: 64,
  /** Rounds without progress before two replicas rest until something changes. */
  idleRounds: 8,
  /** Repositories one channel may subscribe to. */
  repositoriesPerChannel: 1_024,
  /** Refusable messages within a minute before the channel is closed. */
  offences: 3,
  /** A channel whose unsent bytes pass the high mark is given nothing more until they fall below the low mark. */
  channelHighWater: 4_194_304,
  channelLowWater: 1_048_576,
  /** Bytes from one channel that wait to be handled, verified or stored. Commits beyond it are refused, to be asked for again. */
  channelQueue: 67_108_864,
  /** The same before the peer proved who it is. */
  strangerQueue: 2_097_152,
  /** Messages to one peer that wait because it does not read. */
  unsentMessages: 8_192,
  /** A certificate's longest life, ms: 30 days. */
  certificateLife: 2_592_000_000,
  /** Certificates of an account that one side of a channel tells the other at once. */
  certificatesTold: 64,
  /** Files a replica keeps as evidence of forks, how many of them may be about sessions, and the bytes of one. */
  evidenceFiles: 16,
  evidenceOfChains: 8,
  evidenceBytes: 4_194_304,
  /** Display name of a person, bytes of UTF-8. */
  displayName: 128,
  /** A token to log in with, characters. */
  loginToken: 16_384,
  /** An e-mail address, characters: an owner is one of these and `mail:`. */
  mailAddress: 250,
  /** What the two sides of a channel remember of the commits in its packs: ids and items; chains and sessions; all other names. */
  packRecent: 4_096,
  packChains: 1_024,
  packNames: 256,
  /** Operations of a change that a pack may name by what they were before, bytes. */
  packPattern: 512,
  /** What a session says of itself while it is here, bytes; and sessions heard at once in a repository. */
  presenceBytes: 1_024,
  presences: 1_024,
  /** One signal between two ends of an attempt, bytes, and ICE candidates in all signals of one end. */
  signalBytes: 16_384,
  candidates: 40,
  /** One piece of a message on a data channel, bytes. */
  pieceBytes: 65_536,
  /** Records that one frame of a log unfolds to, bytes. */
  packedRecords: 4_194_304,
  /** Links of one replica, attempts under way among them, and so the sessions that one side of a link tells as its neighbours. */
  meshLinks: 16,
  /** Members that one introduction names, and members remembered because an attempt with them failed. */
  meshIntroduced: 64,
  meshShunned: 128,
  /** Items whose history one message asks for, and bytes of commits that a replica keeps while it waits for the answer. */
  recallItems: 64,
  recalledBytes: 67_108_864,
  /** What gossip remembers of a repository: commits that went by lately; ids that it was told of and lacks, in all and by one link. */
  gossipRecent: 2_048,
  gossipWanted: 4_096,
  gossipWantedOfLink: 1_024,
  /** Ids in one message of gossip. */
  gossipTold: 1_024,
  /** So often in a row a link may be asked in vain for what it says it has. */
  gossipWithheld: 16,
} as const
