/** What a member who cheats does, by name. `traitor.ts` does it. */
export const tricks = [
  'mutate',
  'honest',
  'old policy',
  'back-date',
  'equivocate',
  'evil merge',
  'mixed',
  'mine',
  'ahead',
  'unknown policy',
  'replay elsewhere',
  'forge',
  'withhold',
  'copy',
  'policy back',
] as const
export type Trick = (typeof tricks)[number]
