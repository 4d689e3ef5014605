export type { IceOptions } from './ice.ts'
export { type JwtAlgorithm, type JwtLoginOptions, jwtLogin } from './login/jwt.ts'
export { type MailLoginOptions, type MailText, mailLogin } from './login/mail.ts'
export { type ServeOptions, type Server, serve } from './serve.ts'
