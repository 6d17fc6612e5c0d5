# frozen_string_literal: true

# Lines of the files that mounting is configured with. Plain Ruby.
module InfraStorage
  module_function

  def of_kind(storage, kind)
    storage.select { |_, item| item && item['kind'] == kind }.sort.to_h
  end

  # A direct map of autofs. Homes are mounted one by one: /home also has those of the machine's own accounts, and a
  # mount over all of it would hide them.
  def automounts(storage, users, options)
    of_kind(storage, 'nfs').values.flat_map do |item|
      from = "#{item['host']}:#{item['export']}"
      next ["#{item['mount']} -fstype=nfs,#{options} #{from}"] unless item['mount'] == '/home'

      users.sort.map { |user| "/home/#{user} -fstype=nfs,#{options} #{from.chomp('/')}/#{user}" }
    end
  end

  # What /usr/local/lib/infra/storage reads when the machine starts: kind, name, mount, source.
  def boot(storage)
    %w[efs s3].flat_map do |kind|
      of_kind(storage, kind).map { |name, item| [kind, name, item['mount'], item['bucket'] || '-'].join(' ') }
    end
  end
end
