import type { OptionSpec } from './option-spec.js';

/** A setting of openstackclient under its own name: flag --os-x, variable OS_X. */
const os = <const Name extends string>(name: Name, doc: string, metavar = 'NAME') =>
  ({ type: 'string', group: 'openstack', env: name, doc, metavar }) as const;

const osPath = <const Name extends string>(name: Name, doc: string) =>
  ({ type: 'path', group: 'openstack', env: name, doc, metavar: 'FILE' }) as const;

const osSecret = <const Name extends string>(name: Name, doc: string) =>
  ({ type: 'secret', group: 'openstack', env: name, doc, environmentOnly: true }) as const;

/**
 * Which cloud, and our user in it. Given as a flag or in cinderfs.conf they override the cloud of clouds.yaml; as
 * OS_* variables they make up a cloud of their own, as in openstacksdk. cloud.ts does both.
 */
export const CLOUD_OPTIONS = {
  os_cloud: os('OS_CLOUD', 'Which entry of clouds.yaml to use.'),
  os_client_config_file: osPath('OS_CLIENT_CONFIG_FILE', 'The clouds.yaml to read before the usual places.'),
  os_client_secure_file: osPath('OS_CLIENT_SECURE_FILE', 'The secure.yaml to read before the usual places.'),
  os_auth_type: os('OS_AUTH_TYPE', 'How to log in: password or v3applicationcredential.', 'TYPE'),
  os_auth_url: os('OS_AUTH_URL', 'Where Keystone is.', 'URL'),
  os_username: os('OS_USERNAME', 'User name.'),
  os_user_id: os('OS_USER_ID', 'User id.', 'ID'),
  os_user_domain_name: os('OS_USER_DOMAIN_NAME', "The user's domain."),
  os_user_domain_id: os('OS_USER_DOMAIN_ID', "Id of the user's domain.", 'ID'),
  os_project_name: os('OS_PROJECT_NAME', 'The project that owns the image volumes.'),
  os_project_id: os('OS_PROJECT_ID', 'Id of the project that owns the image volumes.', 'ID'),
  os_project_domain_name: os('OS_PROJECT_DOMAIN_NAME', "The project's domain."),
  os_project_domain_id: os('OS_PROJECT_DOMAIN_ID', "Id of the project's domain.", 'ID'),
  os_application_credential_id: os(
    'OS_APPLICATION_CREDENTIAL_ID',
    'Application credential to log in with.',
    'ID',
  ),
  os_application_credential_name: os(
    'OS_APPLICATION_CREDENTIAL_NAME',
    'Name of the application credential; needs the user, too.',
  ),
  os_password: osSecret('OS_PASSWORD', 'Password. Never a flag; secure.yaml is the place for it.'),
  os_application_credential_secret: osSecret(
    'OS_APPLICATION_CREDENTIAL_SECRET',
    'Secret of the application credential.',
  ),
  os_region_name: os('OS_REGION_NAME', 'Region whose services to use.'),
  os_interface: os('OS_INTERFACE', 'Which endpoints to use: public, internal or admin.', 'TYPE'),
  os_cacert: osPath('OS_CACERT', 'Certificate authorities to trust, PEM.'),
  os_cert: osPath('OS_CERT', 'Client certificate, PEM.'),
  os_key: osPath('OS_KEY', 'Key of the client certificate, PEM.'),
  os_insecure: {
    type: 'boolean',
    group: 'openstack',
    env: 'OS_INSECURE',
    doc: 'Do not verify certificates. An attacker on the network path can then take over; a warning is logged.',
  },
  os_image_endpoint_override: os(
    'OS_IMAGE_ENDPOINT_OVERRIDE',
    "Glance's address, instead of the one in the service catalog.",
    'URL',
  ),
  os_block_storage_endpoint_override: os(
    'OS_BLOCK_STORAGE_ENDPOINT_OVERRIDE',
    "Cinder's address, instead of the one in the service catalog.",
    'URL',
  ),
} as const satisfies Record<string, OptionSpec>;
