# The policy where every machine has it, and the Chef client, each only with the digest that was asked for.
# In: INFRA_DIGEST, INFRA_CLIENT_PACKAGE ("" when the client is here already), INFRA_CLIENT_SHA256.
set -eu
cd /tmp/infra-bake

check() { # file digest
  found=$(sha256sum "$1" | cut -d' ' -f1)
  [ "$found" = "$2" ] || { echo "$1 arrived damaged: its sha256 is $found, not $2" >&2; exit 1; }
}

check policy.tar "$INFRA_DIGEST"
home=/var/lib/infra/policy/$INFRA_DIGEST
install -d -m 0755 /var/lib/infra /var/lib/infra/policy
rm -rf "$home.new"
mkdir "$home.new"
tar -xf policy.tar -C "$home.new" --no-same-owner
rm -rf "$home"
mv "$home.new" "$home"
ln -sfn "$INFRA_DIGEST" /var/lib/infra/policy/current
rm policy.tar
echo "policy $INFRA_DIGEST is in place"

if [ -n "$INFRA_CLIENT_PACKAGE" ]; then
  check "$INFRA_CLIENT_PACKAGE" "$INFRA_CLIENT_SHA256"
  dpkg -i "$INFRA_CLIENT_PACKAGE" || { echo "the Chef client's package does not install" >&2; exit 1; }
  rm "$INFRA_CLIENT_PACKAGE"
fi
