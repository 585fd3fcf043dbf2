// Verifies bundles of Sigstore with the project's JavaScript library: MODULES KEY IMAGE BUNDLE... Prints what it refuses.
// The library verifies who signed a statement; what the statement is about is for its caller to compare.
const crypto = require('crypto')
const fs = require('fs')
const path = require('path')
const modules = path.resolve(process.argv[2])
const { bundleFromJSON } = require(path.join(modules, '@sigstore/bundle'))
const { Verifier, toSignedEntity, toTrustMaterial } = require(path.join(modules, '@sigstore/verify'))

const publicKey = crypto.createPublicKey(fs.readFileSync(process.argv[3], 'utf8'))
const hint = crypto.createHash('sha256').update(publicKey.export({ format: 'der', type: 'spki' })).digest('base64')
const root = { mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1', tlogs: [], ctlogs: [], certificateAuthorities: [], timestampAuthorities: [] }
const trust = toTrustMaterial(root, asked => {
  if (asked !== hint) throw new Error('another key: ' + asked)
  return { publicKey, validFor: () => true }
})
const verifier = new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0, tsaThreshold: 0 })
const image = process.argv[4].replace('sha256:', '')
let refused = 0
for (const file of process.argv.slice(5)) {
  try {
    const bundle = bundleFromJSON(JSON.parse(fs.readFileSync(file, 'utf8')))
    verifier.verify(toSignedEntity(bundle))
    const statement = JSON.parse(bundle.content.dsseEnvelope.payload.toString())
    if (!statement.subject.some(subject => subject.digest.sha256 === image)) throw new Error('about another image')
  } catch (error) {
    refused += 1
    console.log(file, String(error))
  }
}
process.exit(refused === 0 ? 0 : 1)
