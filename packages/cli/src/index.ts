export { auditFolder } from './audit.ts'
export { backup } from './backup.ts'
export { run } from './command.ts'
export type { Output } from './output.ts'
