# frozen_string_literal: true

# What a converge did, told by the client itself while it works: for converge, beside this file.
#
# It listens to the client's events and writes three files into a folder: `current` (the resource in hand, so that
# a client that is killed has said where), `summary.json` and, after a failure, `failed.txt` for people. Only names
# of resources and the text of an error are written: no attribute, no content of a file, no state of a resource.

require 'json'
require 'chef/event_dispatch/base'

module Infra
  # One run of the client.
  class Report < Chef::EventDispatch::Base
    LINES = 20
    BYTES = 8000
    SECRETS = [
      [%r{://[^/\s:@]+:[^/\s@]+@}, '://(redacted)@'],
      [/((?:password|passwd|secret|token|api_?key)["']?\s*[=:]\s*["']?)[^\s"']+/i, '\1(redacted)']
    ].freeze

    def initialize(folder)
      super()
      @folder = folder
      @stack = []
      @updated = []
      @total = 0
      @failed = nil
      @file = ''
      @current = ''
    end

    def resource_action_start(resource, action, *)
      @stack << { resource: resource.to_s, action: action.to_s, started: now }
      @current = @stack.last[:resource]
      put('current', @current)
    end

    def resource_updated(resource, action)
      @updated << place(resource, action).merge(
        'depth' => [@stack.length - 1, 0].max,
        'seconds' => @stack.empty? ? 0.0 : (now - @stack.last[:started]).round(2)
      )
    end

    # The innermost resource is the one that failed; those around it only pass its error on.
    def resource_failed(resource, action, exception)
      return if resource.ignore_failure

      depth = @stack.length
      return if @failed && @failed[:depth] > depth && exception.message.include?(@failed[:exception].message)

      @failed = { depth: depth, exception: exception, place: place(resource, action) }
    end

    def resource_completed(_resource)
      @stack.pop
      @total += 1 if @stack.empty?
    end

    %i[library lwrp attribute definition ohai_plugin].each do |kind|
      define_method(:"#{kind}_file_load_failed") { |path, _exception| @file = path.to_s }
    end

    def recipe_file_load_failed(path, *)
      @file = path.to_s
    end

    def run_completed(*)
      summary(nil)
    end

    def run_failed(exception, *)
      failed = failure(exception)
      summary(failed)
      put('failed.txt', text(failed))
    end

    private

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end

    def place(resource, action)
      {
        'resource' => resource.to_s,
        'action' => action.to_s,
        'cookbook' => resource.cookbook_name.to_s,
        'recipe' => resource.recipe_name.to_s,
        'where' => resource.source_line.to_s[/\A[^:]+:\d+/].to_s
      }
    end

    def failure(exception)
      return stopped if exception.is_a?(SystemExit) || exception.is_a?(Interrupt)

      error = @failed ? @failed[:exception] : exception
      at = @failed ? @failed[:place] : place_of(exception)
      at.merge('class' => error.class.to_s, 'message' => clip(error.message.to_s))
    end

    # By a signal: the resource in hand has not failed, but it is not done either.
    def stopped
      nowhere = { 'resource' => @current, 'action' => '', 'cookbook' => '', 'recipe' => '', 'where' => '' }
      nowhere.merge('class' => 'Interrupt', 'message' => 'stopped by a signal')
    end

    # An error before any resource: while a file was loaded, or the run-list was resolved.
    def place_of(exception)
      line = Array(exception.backtrace).find { |item| item.include?('/cookbooks/') }
      where = line ? line[/\A[^:]+:\d+/] : @file
      { 'resource' => '', 'action' => '', 'cookbook' => '', 'recipe' => '', 'where' => where.to_s }
    end

    def clip(message)
      plain = message.dup.force_encoding('UTF-8').scrub('?').gsub(/\e\[[0-9;]*m/, '')
      SECRETS.each { |pattern, instead| plain = plain.gsub(pattern, instead) }
      lines = plain.strip.lines.map(&:rstrip)
      lines = [lines.first, '…', *lines.last(LINES)] if lines.length > LINES + 1
      lines.join("\n")[0, BYTES]
    end

    def text(failed)
      what = failed['resource'].empty? ? 'before any resource' : [failed['resource'], action(failed)].join
      recipe = failed['cookbook'].empty? ? '' : " in #{failed['cookbook']}::#{failed['recipe']}"
      where = failed['where'].empty? ? '' : ", #{failed['where']}"
      "at: #{what}#{recipe}#{where}\n#{failed['class']}: #{failed['message']}\n"
    end

    def action(failed)
      failed['action'].empty? ? '' : " (action #{failed['action']})"
    end

    def summary(failed)
      outer = @updated.count { |item| item['depth'].zero? }
      value = {
        'client' => "#{ChefUtils::Dist::Infra::PRODUCT} #{Chef::VERSION}",
        'total' => @total,
        'updated_count' => outer,
        'updated' => @updated,
        'failed' => failed
      }
      put('summary.json', "#{JSON.pretty_generate(value)}\n")
    end

    def put(name, text)
      File.write(File.join(@folder, name), text)
    rescue SystemCallError => e
      Chef::Log.warn("the report cannot be written: #{e.message}")
    end
  end
end
